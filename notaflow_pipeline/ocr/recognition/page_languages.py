"""The languages, and with them the models, that the passes over a page use."""

from dataclasses import dataclass, replace

from notaflow_pipeline.ocr.engines.model_files import with_typescript_models
from notaflow_pipeline.ocr.recognition.language import leading_language
from notaflow_pipeline.ocr.recognition.passes import Policy


@dataclass(frozen=True)
class PageLanguages:
    """Tesseract's codes joined by `+`, ours among them (`engines.models`).

    `first` is for the first pass, `later` for those over a doubtful page, `print` is the leading language with the
    system's model, `all` every language that occurs with our models, `plain` the same with the system's.
    """

    first: str
    later: str
    print: str
    all: str
    plain: str

    def with_all(self) -> "PageLanguages":
        """The same for a page in another language than the leading one."""
        return replace(self, first=self.all, later=self.all)

    def as_print(self) -> "PageLanguages":
        """The same for a page that is printed."""
        return replace(self, first=self.print)


def languages_of_page(engine_languages: str, policy: Policy) -> PageLanguages:
    """The languages as long as nothing of the page was read."""

    def typed(languages: str) -> str:
        return with_typescript_models(languages) if policy.typescript_model else languages

    leading = leading_language(engine_languages) if policy.choose_language else engine_languages
    first, every = typed(leading), typed(engine_languages)
    return PageLanguages(first, every if policy.all_languages_later else first, leading, every, engine_languages)
