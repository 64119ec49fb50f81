"""The languages, and with them the models, of the passes over a page."""

from dataclasses import dataclass, replace

from notaflow_pipeline.ocr.engines.model_files import with_typescript_models
from notaflow_pipeline.ocr.recognition.passes.pass_result import Policy
from notaflow_pipeline.ocr.recognition.words.language import leading_language


@dataclass(frozen=True)
class PageLanguages:
    """Tesseract's language codes joined by `+`; the code of our own model is one of them (`engines.model_files`).

    `first` is for the first pass, `later` for passes over a doubtful page, `print` is for printed pages: the system's model
    of the leading language, `all` is every language with our models, `plain` is every language with the system's models.
    """

    first: str
    later: str
    print: str
    all: str
    plain: str

    def with_all(self) -> "PageLanguages":
        """Returns the languages for a page that is not in the leading language."""
        return replace(self, first=self.all, later=self.all, print=self.plain)

    def as_print(self) -> "PageLanguages":
        """Returns the languages for a printed page."""
        return replace(self, first=self.print)


def languages_of_page(engine_languages: str, policy: Policy) -> PageLanguages:
    """Returns the languages for a page of which nothing has been read."""

    def typed(languages: str) -> str:
        return with_typescript_models(languages) if policy.typescript_model else languages

    leading = leading_language(engine_languages) if policy.choose_language else engine_languages
    first, every = typed(leading), typed(engine_languages)
    return PageLanguages(first, every if policy.all_languages_later else first, leading, every, engine_languages)
