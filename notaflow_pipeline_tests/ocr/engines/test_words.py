"""Tests of layout: words of Tesseract's TSV become lines, rows, pages and paragraphs."""

from dataclasses import replace

from notaflow_pipeline.ocr.engines.words import Word, text_of_words, words_of_tsv
from notaflow_pipeline.ocr.recognition.words.reading_order import ordered_words

HEADER = "level\tpage_num\tblock_num\tpar_num\tline_num\tword_num\tleft\ttop\twidth\theight\tconf\ttext"


def row(
    block: int, paragraph: int, line: int, confidence: float, text: str, level: int = 5, left: int = 0, top: int = 0
) -> str:
    return f"{level}\t1\t{block}\t{paragraph}\t{line}\t1\t{left}\t{top}\t9\t9\t{confidence}\t{text}"


def text(*rows: str) -> str:
    return text_of_words(list(words_of_tsv("\n".join([HEADER, *rows]))))


def cell(said: str, left: int, top: int, block: int = 1, line: int = 1) -> Word:
    """Returns a word of letters 10 pixels wide and 20 high."""
    return Word(said, 95, block, 1, line, left, top, 10 * len(said), 20)


def test_lines_and_paragraphs_are_restored() -> None:
    assert (
        text(row(1, 1, 1, 90, "Lot"), row(1, 1, 1, 90, "12"), row(1, 1, 2, 90, "vendu"), row(1, 2, 1, 90, "par"))
        == "Lot 12\nvendu\n\npar"
    )


def test_same_line_number_in_another_block_is_another_paragraph() -> None:
    assert text(row(1, 1, 1, 90, "gauche"), row(2, 1, 1, 90, "droite")) == "gauche\n\ndroite"


def test_blank_and_unrecognised_rows_are_not_words() -> None:
    assert text(row(1, 1, 1, -1, "x"), row(1, 1, 1, 95, "  "), row(1, 1, 1, -1, "", level=4)) == ""


def test_quotation_marks_and_damaged_rows_cause_no_error() -> None:
    assert text(row(1, 1, 1, 90, '"dit'), "5\t1\t1", row(1, 1, 1, 90, 'vendeur"')) == '"dit vendeur"'


def test_columns_that_the_engine_split_become_rows_with_their_spacing() -> None:
    """An index was read as two blocks, one per column: each number belongs to the name in its row."""
    names = [cell(name, 100, 100 + 40 * n, block=1, line=n) for n, name in enumerate(["Vente", "Quittance", "Bail"])]
    numbers = [cell(number, 600, 102 + 40 * n, block=2, line=n) for n, number in enumerate(["3770292", "41", "7"])]
    lines = text_of_words(ordered_words([*names, *numbers], 1240, 1754)).splitlines()
    assert [line.split() for line in lines] == [["Vente", "3770292"], ["Quittance", "41"], ["Bail", "7"]]
    assert all("   " in line for line in lines)


def test_columns_of_running_text_are_read_one_after_the_other() -> None:
    said = "le vendeur déclare que le lot"
    words = []
    for block, left in ((1, 50), (2, 650)):
        for line in range(6):
            x = left
            for part in said.split():
                words.append(cell(part, x, 100 + 30 * line, block, line))
                x += 10 * len(part) + 8
    assert ordered_words(words, 1240, 1754) == words


def test_left_page_of_an_open_book_comes_before_the_right_one() -> None:
    """Tesseract returned one block whose lines run across the fold."""
    words = []
    for line in range(5):
        words += [cell("gauche", 200, 100 + 40 * line, line=line), cell("droite", 1500, 100 + 40 * line, line=line)]
    read = text_of_words(ordered_words(words, 2300, 1600)).split()
    assert read == ["gauche"] * 5 + ["droite"] * 5


def test_amounts_and_lot_numbers_keep_their_single_spaces() -> None:
    words = [cell("3", 0, 0), cell("770", 18, 0), cell("292", 56, 0), cell("75", 300, 0), cell("000,00", 328, 0)]
    assert "3 770 292" in text_of_words(words)
    assert "75 000,00" in text_of_words(words)


def test_title_comes_before_the_lot_below_it_in_a_column_of_its_own() -> None:
    lot, title, table = cell("Lot", 50, 200, 1), cell("INDEX", 500, 100, 2), cell("Vente", 50, 400, 3)
    assert ordered_words([lot, title, table], 1240, 1754) == [title, lot, table]


def test_block_that_stands_beside_another_is_not_moved_above_it() -> None:
    left = [cell("gauche", 50, 100 + 40 * n, 1, n) for n in range(2)]
    right = [cell("droite", 600, 60 + 60 * n, 2, n) for n in range(2)]
    assert ordered_words([*left, *right], 1240, 1754) == [*left, *right]


def test_rules_between_columns_are_not_read_as_characters() -> None:
    assert (
        text(row(1, 1, 1, 90, "|2001-11-12"), row(1, 1, 1, 40, "|"), row(1, 1, 1, 90, "Vente|")) == "2001-11-12 Vente"
    )


def test_lines_that_alternate_between_two_blocks_are_one_column_again() -> None:
    """The layout analysis failed: every second line of one column was put in another block."""
    said = ["Par devant Me Roy", "ont comparu le", "vendeur et la", "venderesse du lot"]
    words = [cell(line, 100 + 5 * n, 100 + 40 * n, block=1 + n % 2, line=n) for n, line in enumerate(said)]
    by_block = sorted(words, key=lambda word: word.block)
    assert by_block != words
    assert text_of_words(ordered_words(by_block, 1240, 1754)) == "\n".join(said)


def test_line_that_was_split_into_two_blocks_is_joined() -> None:
    upper, left, right = (
        cell("Par devant", 100, 100),
        cell("ont comp", 100, 140, line=2),
        cell("aru ici", 185, 141, block=2),
    )
    assert text_of_words(ordered_words([right, upper, left], 1240, 1754)) == "Par devant\nont comp aru ici"


def test_sentence_that_was_split_from_its_line_of_typescript_continues_it() -> None:
    """The gap is wider than that between words; the block of each part also has the line above or below."""
    upper, lower = [cell("Maya", 100, 100, 1)], [cell("Jean ici.", 100, 140, 2, 1), cell("dit non", 100, 180, 2, 2)]
    rest = [cell("HASTOY", 260, 60, 3, 1), cell("Que veux tu", 228, 141, 3, 2)]
    assert rows_of([*upper, *lower, *rest]) == ["Maya", "HASTOY", "Jean ici. Que veux tu", "dit non"]


def test_line_that_was_split_between_two_long_blocks_is_joined() -> None:
    """It is the last line of the first block and the first line of the other; the block of its end was read first."""
    end = [cell("144", 600, 20, 1, 1), cell("145", 700, 60, 1, 2), cell("une salive", 282, 101, 1, 3)]
    rest = [cell("Elle avale", 160, 100, 2, 1), cell("dans sa tête", 100, 140, 2, 2), cell("Et tout", 100, 180, 2, 3)]
    assert rows_of([*end, *rest]) == ["144", "145", "Elle avale une salive", "dans sa tête", "Et tout"]


def test_long_blocks_side_by_side_with_one_level_line_are_not_joined() -> None:
    left = [cell(said, 100, top) for said, top in (("le lot un", 100), ("le lot deux", 140), ("le lot trois", 180))]
    right = [cell(said, 225, top, 2) for said, top in (("servitude", 120), ("de vue", 141), ("de passage", 200))]
    words = [replace(word, line=number) for number, word in enumerate([*left, *right])]
    assert ordered_words(words, 1240, 1754) == words


def test_joined_blocks_keep_the_order_of_a_line_with_a_word_whose_box_is_too_wide() -> None:
    upper = [cell("Séance", 100, 100), cell("du", 168, 100), Word("Vendredi", 95, 1, 1, 1, 104, 100, 300, 20)]
    present, names = cell("Présents", 100, 140, line=2), cell("Queneau", 195, 141, block=2)
    assert rows_of([*upper, present, names]) == ["Séance du Vendredi", "Présents Queneau"]


def test_line_of_a_column_does_not_continue_the_line_beside_it() -> None:
    """Other rows begin where it begins, and the gap between these columns is as narrow as that between sentences."""
    said = ["le vendeur déclare que le"] * 4
    left = justified(said, 50, 100, 1, 300)
    heading, right = justified(["3 le lot vendu"], 392, 137, 2, 140), justified(said, 392, 178, 3, 300)
    words = [*left, *heading, *right]
    assert ordered_words(words, 1240, 1754) == words


def test_row_below_a_table_whose_cells_are_blocks_of_one_line_is_one_line() -> None:
    table = [
        [cell("10822527", 100, 100 + 40 * n, line=n), cell("Requérant", 400, 100 + 40 * n, line=n)] for n in range(2)
    ]
    words = [*table[0], *table[1], cell("Propriétaire", 400, 300, block=2), cell("Mireille", 700, 303, block=3)]
    assert rows_of(words) == ["10822527 Requérant", "10822527 Requérant", "Propriétaire Mireille"]


def test_blocks_of_one_line_at_other_heights_or_in_another_order_are_not_joined() -> None:
    lower = [cell("Requérant", 100, 300, block=1), cell("Mireille", 400, 320, block=2)]
    assert rows_of(lower) == ["Requérant", "Mireille"]
    backwards = [cell("Mireille", 700, 300, block=1), cell("Requérant", 100, 300, block=2)]
    assert rows_of(backwards) == ["Mireille", "Requérant"]
    near = [cell("et féroce", 320, 300, block=1), cell("ivre", 240, 301, block=2)]
    assert rows_of(near) == ["ivre et féroce"]


def test_note_in_the_margin_is_not_joined_to_the_lines_beside_it() -> None:
    text = [cell("le vendeur déclare", 400, 100 + 40 * n, line=n) for n in range(4)]
    note = [cell("radié", 100, 142, block=2)]
    assert ordered_words([*text, *note], 1240, 1754) == [*text, *note]


def test_date_that_was_split_at_its_hyphens_is_joined() -> None:
    parted = ["(1948-", "01-12", "1951-", "11-", "04,", "lots", "12-", "14", "1951", "-", "suite"]
    words = [cell(said, 5 + sum(10 * len(one) + 8 for one in parted[:n]), 0) for n, said in enumerate(parted)]
    assert text_of_words(words) == "(1948-01-12 1951-11-04, lots 12- 14 1951 - suite"


def test_cells_of_a_table_are_not_joined_to_one_date() -> None:
    assert text_of_words([cell("1948-", 0, 0), cell("01-12", 130, 0)]) == "1948-    01-12"


DATES = ["2001-11-12", "2002-12-08", "2003-11-26", "2004-11-01"]


def rows_of(words: list[Word], width: int = 1240, height: int = 1754) -> list[str]:
    said = text_of_words(ordered_words(words, width, height))
    return [" ".join(line.split()) for line in said.splitlines() if line]


def test_cells_below_two_blocks_belong_to_the_one_that_is_nearest() -> None:
    """The first dates reach beyond the heading above the table; the next ones do not, and were taken for cells below it."""
    heading = [cell("Circonscription fonciere de Montreal-Est-Nord", 90, 100, 1, 1)]
    numbers = [cell(f"10 11{n} 204", 100, 200 + 50 * n, 2 + n) for n in range(6)]
    first = [cell(f"{DATES[n]} Renouvellement d'avis d'hypotheque", 330, 200 + 50 * n, 10, n) for n in range(3)]
    later = [cell(f"{DATES[n]} Vente", 330, 350 + 50 * n, 11 + n) for n in range(3)]
    names = [cell("Tremblay", 950, 200 + 50 * n, 20, n) for n in range(6)]
    lines = rows_of([*heading, *numbers, *first, *later, *names])
    assert lines[1:] == [f"10 11{n} 204 {date.text} Tremblay" for n, date in enumerate([*first, *later])]


def test_parts_of_numbers_in_a_table_are_not_a_separate_table() -> None:
    """The first numbers of a column are one block each; in the others, each group of digits is a block."""
    lefts = {"10": 60, "118": 90, "204": 130}
    first = [cell(said, left, 100 + 50 * row, 1 + row) for row in range(3) for said, left in lefts.items()]
    groups = [
        cell(said, left, 250 + 50 * row, 10 + row + 9 * n)
        for n, (said, left) in enumerate(lefts.items())
        for row in range(4)
    ]
    dates = [cell("2001-11-12", 300, 100 + 50 * n, 50, n) for n in range(7)]
    names = [cell("Tremblay", 600, 100 + 50 * n, 51, n) for n in range(7)]
    assert rows_of([*first, *groups, *dates, *names]) == ["10 118 204 2001-11-12 Tremblay"] * 7


def test_last_column_with_a_few_cells_belongs_to_its_rows() -> None:
    dates = [cell(date, 60, 100 + 50 * n, 1, n) for n, date in enumerate(DATES)]
    names = [cell("Tremblay", 300, 100 + 50 * n, 2, n) for n in range(4)]
    ended = [cell("Radiée", 900, 151, 3, 1)]
    assert rows_of([*dates, *names, *ended])[1] == f"{DATES[1]} Tremblay Radiée"
    note = [cell("Folio 7", 900, 175, 3, 1)]
    assert rows_of([*dates, *names, *note])[1] == f"{DATES[1]} Tremblay"


def justified(lines: list[str], left: int, top: int, block: int, width: int) -> list[Word]:
    """Returns the words of a paragraph whose lines, but for the last one, are stretched to a width."""
    words = []
    for number, line in enumerate(lines):
        parts = line.split()
        free = width - sum(10 * len(part) for part in parts)
        gap = free / max(len(parts) - 1, 1) if number < len(lines) - 1 else 8
        x = float(left)
        for part in parts:
            words.append(cell(part, round(x), top + 30 * number, block, number))
            x += 10 * len(part) + gap
    return words


LOOSE = ["notaire instrumentant", "declare que son", "immeuble est libre", "de toute hypotheque", "a ce jour"]
DENSE = [
    "le lot et la cour du roi",
    "sis au nord de la rue du lac",
    "a ete vendu en mai par le roi",
    "pour la somme due",
]


def test_wide_gaps_of_justified_columns_are_no_boundaries_of_cells() -> None:
    """A gap counts only where most rows have one: two of five lines have wide gaps."""
    lines = [DENSE[0], "notaire sur ce lot", DENSE[1], "vente de sa maison", DENSE[2]]
    words = [word for n in range(3) for word in justified(lines, 50 + 400 * n, 100, n + 1, 330)]
    assert ordered_words(words, 1240, 1754) == words


def test_dates_beside_lines_that_fill_their_column_begin_its_rows() -> None:
    lines = [f"{DENSE[number % 3]} {DENSE[number % 3]}" for number in range(12)]
    dates = [cell(f"1921-02-{10 + number}", 50, 100 + 30 * number, 1, number) for number in range(len(lines))]
    rows = rows_of(ordered_words([*dates, *justified(lines, 250, 100, 2, 700)], 1240, 1754))
    assert rows[:2] == [f"{date.text} {line}" for date, line in zip(dates[:2], lines, strict=False)]


def test_few_rows_of_long_words_between_paragraphs_are_no_cells() -> None:
    words = []
    for n in range(3):
        for part, lines in enumerate((DENSE, LOOSE, DENSE)):
            words += justified(lines, 50 + 400 * n, 100 + 160 * part, 3 * n + part + 1, 330)
    assert ordered_words(words, 1240, 1754) == words


def test_table_across_the_middle_of_a_landscape_page_keeps_its_rows() -> None:
    """The gap in the middle is as wide as those beside it, and the rows of both halves are level."""
    cells = ["1", "1943-01-12", "Roy", "651", "Levis", "Vente"]
    words = [
        cell(said, 100 + 360 * n, 100 + 40 * row, 1 + n // 3, row) for n, said in enumerate(cells) for row in range(8)
    ]
    assert rows_of(words, 2200, 1600) == [" ".join(cells)] * 8


def test_pages_of_an_open_register_are_read_one_after_the_other() -> None:
    """The fold is clearly wider than the gaps between the columns, though the rows of both pages are level."""
    lefts = {"Vente": 100, "Roy": 300, "651": 500, "Bail": 1300, "Cyr": 1500, "77": 1700}
    words = [cell(said, left, 100 + 40 * row, 1, row) for row in range(8) for said, left in lefts.items()]
    assert rows_of(words, 2200, 1600) == ["Vente Roy 651"] * 8 + ["Bail Cyr 77"] * 8


def test_columns_of_an_alphabetical_index_are_read_one_after_the_other() -> None:
    columns = [
        ["Archambault", "Beaudoin", "Cyr", "Desrosiers", "Fortin", "Gagnon"],
        ["Hamel", "Jean", "Lavoie", "Noel", "Ouellet", "Roy"],
    ]
    words = [
        cell(said, 100 + 600 * n + left, 100 + 40 * row, n + 1, row)
        for n, names in enumerate(columns)
        for row, name in enumerate(names)
        for left, said in ((0, name), (130, "J."), (160, str(70 - row)))
    ]
    assert ordered_words(words, 1240, 1754) == words
