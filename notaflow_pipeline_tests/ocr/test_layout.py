"""Layout: words of Tesseract's TSV back in lines and paragraphs."""

from notaflow_pipeline.ocr.layout import text_of_words, words_of_tsv

HEADER = "level\tpage_num\tblock_num\tpar_num\tline_num\tword_num\tleft\ttop\twidth\theight\tconf\ttext"


def row(block: int, paragraph: int, line: int, confidence: float, text: str, level: int = 5) -> str:
    return f"{level}\t1\t{block}\t{paragraph}\t{line}\t1\t0\t0\t9\t9\t{confidence}\t{text}"


def text(*rows: str) -> str:
    return text_of_words(list(words_of_tsv("\n".join([HEADER, *rows]))))


def test_lines_and_paragraphs_are_restored() -> None:
    assert (
        text(row(1, 1, 1, 90, "Lot"), row(1, 1, 1, 90, "12"), row(1, 1, 2, 90, "vendu"), row(1, 2, 1, 90, "par"))
        == "Lot 12\nvendu\n\npar"
    )


def test_same_line_number_in_another_block_is_another_paragraph() -> None:
    assert text(row(1, 1, 1, 90, "gauche"), row(2, 1, 1, 90, "droite")) == "gauche\n\ndroite"


def test_blank_and_unrecognised_rows_are_no_words() -> None:
    assert text(row(1, 1, 1, -1, "x"), row(1, 1, 1, 95, "  "), row(1, 1, 1, -1, "", level=4)) == ""


def test_quotation_marks_and_damaged_rows_do_no_harm() -> None:
    assert text(row(1, 1, 1, 90, '"dit'), "5\t1\t1", row(1, 1, 1, 90, 'vendeur"')) == '"dit vendeur"'
