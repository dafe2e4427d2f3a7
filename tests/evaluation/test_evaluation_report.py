"""The report: complete, self-contained, and deaf to what a script or a prompt tries to smuggle in."""

import base64
import dataclasses
import html.parser
import io
import re

import numpy as np
import PIL.Image
import pytest

from vlsm_jax.evaluation.figures import MAX_SIDE, data_uri, loss_figure
from vlsm_jax.evaluation.listing import Mark, side_by_side
from vlsm_jax.evaluation.report import choose_samples, write_report
from vlsm_jax.metrics import summarise

VOID = {"meta", "img", "br", "link", "input", "hr"}


class Page(html.parser.HTMLParser):
    """Collects the tags and the text of a page and checks that every tag is closed in turn."""

    def __init__(self, text: str):
        super().__init__()
        self.tags, self.attributes, self.texts, self.open = [], [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes.extend((tag, key, value or "") for key, value in attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes.extend((tag, key, value or "") for key, value in attrs)

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", "".join(self.texts))


def report(tmp_path, predictions, **options) -> str:
    path = tmp_path / "report.html"
    summary = summarise([prediction.scores for prediction in predictions])
    assert write_report(path, title="A test", summary=summary, predictions=predictions, **options) == path
    assert [p.name for p in tmp_path.iterdir() if p.name != "sketch.png"] == ["report.html"]
    return path.read_text(encoding="utf-8")


@pytest.fixture
def sketch(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (341, 512, 3), np.uint8)
    PIL.Image.fromarray(noise).save(tmp_path / "sketch.png")
    return str(tmp_path / "sketch.png")


def test_the_page_holds_all_it_promises(tmp_path, make_prediction, sketch):
    predictions = [make_prediction("a", image=sketch), make_prediction("b", None)]
    text = report(
        tmp_path,
        predictions,
        losses={"train": [(1, 2.5), (2, 1.5)], "validation": [(2, 1.6)]},
        run_facts={"machine": "2 cores", "parameters": 1_132_000, "config": {"model": {"layers": 22}, "lr": 1e-4}},
    )
    page = Page(text)
    assert not page.open
    for words in (
        "1 of 2 generated scripts (50.0 %) run",
        "parameters1 132 000",
        "model.layers22",
        "0.9408",  # the published SVR of VLSM-1.1B, under a caption that says what it is
        "not comparable directly",
        "parse error",
        "A mill between a source and a sink.",
        "missing object Ann",
        "exponential(0, 10) became exponential(0, 15)",
        "expected ';'",
        "error in line 1, column 6: expected ';' (syntax)",
        "end the statement",
    ):
        assert words in page.text, words
    summary = summarise([p.scores for p in predictions])
    assert f"{summary.svr.mean:.4f}" in page.text
    assert f"{summary.esr.low:.4f} to {summary.esr.high:.4f}" in page.text
    assert page.tags.count("article") == 2
    assert page.tags.count("img") == 1
    # Loss curve, four tiles, two drawings.
    assert page.tags.count("svg") == 1 + 4 + 2
    # The caret stands under its column.
    pre = next(t for t in page.texts if "mill name = 1;" in t and "^" in t)
    source, caret = [line for line in pre.splitlines() if "mill name" in line or "^" in line]
    assert source[caret.index("^") :] == "name = 1;"


def test_the_page_asks_for_nothing_outside(tmp_path, make_prediction, sketch):
    text = report(
        tmp_path, [make_prediction("a", image=sketch)], losses={"train": [(1, 2.0)], "validation": [(1, 2.0)]}
    )
    page = Page(text)
    assert not {"script", "link", "iframe", "object", "embed"} & set(page.tags)
    for tag, key, value in page.attributes:
        if key in ("src", "href", "xlink:href", "srcset", "action", "data"):
            assert value.startswith(("data:image/", "#")), (tag, key, value[:60])
        assert not key.startswith("on"), (tag, key)
    assert re.findall(r"url\((?!#)", text) == []
    assert "@import" not in text
    policy = next(value for tag, key, value in page.attributes if tag == "meta" and value.startswith("default-src"))
    assert policy.startswith("default-src 'none'")


def test_untrusted_text_stays_text(tmp_path, make_prediction, candidate):
    evil = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'&"
    renamed = dataclasses.replace(
        candidate, objects=(*candidate.objects, dataclasses.replace(candidate.objects[3], name=evil[:40]))
    )
    attack = make_prediction(
        evil, renamed, prompt=evil, reference=f"// {evil}", candidate=f'"{evil}"\n{evil}\n/* {evil}', image=evil
    )
    text = report(tmp_path, [attack], run_facts={evil: evil, "more": {evil: [evil]}})
    page = Page(text)
    assert not page.open
    assert "script" not in page.tags
    assert "img" not in page.tags
    assert not [key for _, key, _ in page.attributes if key.startswith("on")]
    assert page.text.count("<script>alert(1)</script>") >= 6  # id, prompt, both scripts, facts: shown, not run


def test_a_sketch_that_cannot_be_read_is_named_without_its_folder(tmp_path, make_prediction):
    predictions = [make_prediction("a", image=str(tmp_path / "gone.png")), make_prediction("b")]
    page = Page(report(tmp_path, predictions))
    assert "The sketch gone.png cannot be read (FileNotFoundError)." in page.text
    assert "This sample has no sketch." in page.text
    assert str(tmp_path) not in page.text


def test_an_image_loader_may_stand_in_for_files(tmp_path, make_prediction):
    asked = []

    def load(path):
        asked.append(path)
        return PIL.Image.new("RGB", (30, 20), "white")

    assert 'src="data:image/png;base64,' in report(tmp_path, [make_prediction("a", image="x/1.png")], image_loader=load)
    assert asked == ["x/1.png"]


def test_a_loss_of_an_unknown_set_is_refused(tmp_path, make_prediction):
    with pytest.raises(ValueError, match="'test'"):
        report(tmp_path, [make_prediction("a")], losses={"test": [(1, 2.0)]})


def test_without_training_and_without_samples_the_page_says_so(tmp_path, make_prediction):
    page = Page(report(tmp_path, [make_prediction("a")], samples=0))
    assert "No training belongs to this evaluation." in page.text
    assert "article" not in page.tags


def test_samples_reach_from_the_best_to_the_worst(make_prediction, reference):
    predictions = [make_prediction("worst", None)] + [make_prediction(f"m{i:02}") for i in range(30)]
    predictions.append(make_prediction("best", reference))
    chosen = [p.id for p in choose_samples(predictions, 12)]
    assert len(set(chosen)) == 12
    assert (chosen[0], chosen[-1]) == ("best", "worst")
    assert [p.id for p in choose_samples(list(reversed(predictions)), 12)] == chosen
    assert len(choose_samples(predictions[:3], 12)) == 3


def test_a_runaway_script_is_cut(tmp_path, make_prediction):
    prediction = make_prediction("a", candidate="x = 1;\n" * 30_000 + "y" * 100_000)
    text = report(tmp_path, [prediction])
    assert "further lines are left out" in text
    assert len(text) < 1_000_000


# --- Parts of the page ------------------------------------------------------------------------------------------------


def plain(line):
    return re.sub(r"<[^>]*>", "", str(line.html)).replace("&quot;", '"').replace("&lt;", "<").replace("&amp;", "&")


def test_scripts_stand_line_by_line_beside_each_other():
    listing = side_by_side(
        "a = 1;\nb = 2;\nc = 3;\n/* long\ncomment */\n", "a = 1;\n  c = 4;\n/* long\ncomment */\nd < 5;\n"
    )
    assert len(listing.reference) == len(listing.candidate)
    rows = [
        (m.number, plain(m).strip(), m.mark, t.number, plain(t).strip(), t.mark)
        for m, t in zip(listing.reference, listing.candidate, strict=True)
    ]
    assert rows == [
        (1, "a = 1;", Mark.SAME, 1, "a = 1;", Mark.SAME),
        (2, "b = 2;", Mark.CHANGED, 2, "c = 4;", Mark.CHANGED),
        (3, "c = 3;", Mark.CHANGED, 0, "", Mark.GAP),
        (4, "/* long", Mark.SAME, 3, "/* long", Mark.SAME),
        (5, "comment */", Mark.SAME, 4, "comment */", Mark.SAME),
        (0, "", Mark.GAP, 5, "d < 5;", Mark.ONLY),
    ]
    assert listing.changed == 3
    # A comment over two lines is coloured on both.
    assert all('class="cm"' in str(listing.reference[i].html) for i in (3, 4))


def test_no_line_of_a_script_is_lost_or_altered():
    script = '\n\n\tfor (int i = 1; i <= 3; i++) {  \n"un\\\nclosed\n#define X 1\n\x0c\n// end\n\n'
    listing = side_by_side(script, script)
    assert [plain(line) for line in listing.candidate] == script.splitlines()
    assert listing.changed == 0


@pytest.mark.parametrize("size", [(4000, 1000), (512, 341)])
def test_a_sketch_is_embedded_small_and_in_proportion(size):
    uri = data_uri(PIL.Image.new("RGBA", size, "white"))
    kind, data = re.fullmatch(r"data:image/(png|jpeg);base64,(.*)", uri).groups()
    image = PIL.Image.open(io.BytesIO(base64.b64decode(data)))
    assert image.format.lower() == kind
    assert max(image.size) <= MAX_SIDE
    assert image.width / image.height == pytest.approx(size[0] / size[1], rel=0.01)


def test_the_loss_curve_takes_its_colours_from_the_page_and_skips_what_is_not_finite():
    figure = loss_figure([(i, 1 / i) for i in range(1, 200)] + [(200, float("nan"))], [(100, 0.5)])
    assert figure.startswith("<svg ")
    assert "var(--series-1)" in figure
    assert "var(--series-2)" in figure
    assert "nan" not in figure
    assert "<style" not in figure
    assert re.search(r'<svg [^>]*viewBox="0 0 [\d. ]+"', figure)
    assert not re.search(r"<svg [^>]*(width|height)=", figure)
    assert "var(--series-1)" not in loss_figure([], [(1, 0.5)])
