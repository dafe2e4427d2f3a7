import json
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vlsm_jax.data.tokenizer import PROMPT_PREFIX, TokenizerError, load_tokenizer, train_bpe


@given(st.text())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_comes_back(corpus, text):
    _, tokenizer = corpus
    ids = tokenizer.encode_response(text)
    assert ids[-1] == tokenizer.eos_id
    if not any(special in text for special in ("<pad>", "</s>", "<image>")):
        assert tokenizer.decode(ids) == text
        assert tokenizer.eos_id not in ids[:-1]


def test_decoding_stops_at_the_end_of_text(corpus):
    _, tokenizer = corpus
    ids = tokenizer.encode_response("int i;")
    assert tokenizer.decode([*ids, *ids]) == "int i;"


def test_digits_are_tokens_of_their_own(corpus):
    _, tokenizer = corpus
    assert len(tokenizer.backend.encode("1234567").ids) == 7


def test_a_name_has_the_same_ids_in_a_sentence_and_in_quotes(corpus):
    _, tokenizer = corpus

    def ids(text):
        return tokenizer.backend.encode(text).ids

    for name in ("Mask Coater 2", "E-Beam Writer1", "LED Sorter", "Ätzer"):
        inside = ids(name)
        for text in (f"The {name} is a queue", f'"{name}"', f'["{name}", "x"]', f"x,{name}"):
            found = ids(text)
            assert any(found[i : i + len(inside)] == inside for i in range(len(found))), (name, text)


def test_ids_do_not_depend_on_the_other_half(corpus):
    _, tokenizer = corpus
    prompt = tokenizer.encode_prompt("a queue")
    assert tokenizer.decode(prompt) == PROMPT_PREFIX + "a queue"
    # What generation feeds is a prefix of what training saw.
    assert prompt + tokenizer.encode_response("x") == tokenizer.encode_prompt("a queue") + tokenizer.encode_response(
        "x"
    )


def test_the_folder_is_a_hugging_face_tokenizer(corpus):
    from transformers import AutoTokenizer

    _, tokenizer = corpus
    theirs = AutoTokenizer.from_pretrained(tokenizer.directory)
    text = 'Object s = Object.create("Source"); // 12.5'
    assert theirs(text, add_special_tokens=False).input_ids == tokenizer.encode_response(text)[:-1]
    assert theirs.eos_token_id == tokenizer.eos_id
    assert theirs.pad_token_id == tokenizer.pad_id
    assert theirs.convert_tokens_to_ids("<image>") == tokenizer.image_id
    assert len(theirs) == tokenizer.size


def test_what_a_tokenizer_puts_before_a_text_stands_before_every_prompt(corpus, tmp_path):
    from tokenizers.processors import TemplateProcessing

    _, tokenizer = corpus
    backend = type(tokenizer.backend).from_str(tokenizer.backend.to_str())
    backend.post_processor = TemplateProcessing(single="<pad> $A", special_tokens=[("<pad>", tokenizer.pad_id)])
    shutil.copytree(tokenizer.directory, tmp_path / "begins")
    backend.save(str(tmp_path / "begins" / "tokenizer.json"))
    begins = load_tokenizer(tmp_path / "begins")
    assert begins.beginning == (tokenizer.pad_id,)
    assert begins.encode_prompt("a") == [tokenizer.pad_id, *tokenizer.encode_prompt("a")]
    assert begins.encode_response("a") == tokenizer.encode_response("a")
    backend.post_processor = TemplateProcessing(single="$A <pad>", special_tokens=[("<pad>", tokenizer.pad_id)])
    backend.save(str(tmp_path / "begins" / "tokenizer.json"))
    with pytest.raises(TokenizerError, match="puts tokens behind a text"):
        load_tokenizer(tmp_path / "begins")


def test_training_is_deterministic(corpus, tmp_path):
    texts = ["Object queue;", "Object sink;", "queue to sink"] * 3
    one = train_bpe(texts, 300, tmp_path / "one")
    two = train_bpe(texts, 300, tmp_path / "two")
    assert one.backend.to_str() == two.backend.to_str()


def test_what_is_missing_is_named(tmp_path):
    with pytest.raises(TokenizerError, match="no tokenizer at"):
        load_tokenizer(tmp_path / "none")
    train_bpe(["text"], 300, tmp_path / "tokenizer")
    for name in ("tokenizer_config.json", "special_tokens_map.json"):
        path = tmp_path / "tokenizer" / name
        path.write_text(json.dumps({k: v for k, v in json.loads(path.read_text()).items() if k != "eos_token"}))
    with pytest.raises(TokenizerError, match="names no end-of-text token"):
        load_tokenizer(tmp_path / "tokenizer")


@pytest.mark.parametrize(("name", "size", "beginning"), [("tinyllama", 32001, (1,)), ("starcoder2", 49153, ())])
def test_the_papers_tokenizers(name, size, beginning):
    """Both kinds of file: a SentencePiece model and a `tokenizer.json`."""
    folder = Path(__file__).parents[3] / "shared" / "data" / "tokenizers" / name
    if not folder.is_dir():
        pytest.skip("the tokenizer files of the paper's models are not here")
    tokenizer = load_tokenizer(folder)
    assert tokenizer.size == size
    assert tokenizer.image_id == size - 1
    assert tokenizer.beginning == beginning
    assert tuple(tokenizer.encode_prompt("a queue")[: len(beginning)]) == beginning
    text = 'Object s = Object.create("Source");\n  s.location.x = 10.5; // “quoted”\n'
    assert tokenizer.decode(tokenizer.encode_response(text)) == text
