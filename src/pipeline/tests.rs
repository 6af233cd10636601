use super::*;
use crate::registry::STAGES;

const GOOD: &str = r#"
[pipeline]
name = "test"
seed = 5

[[stage]]
name = "0.ORIGINAL"
use = "original"

[[stage]]
name = "flow/6.Photos_64px"
use = "resize"
from = "1.No_duplicates"
side = 32

[[stage]]
name = "1.No_duplicates"
use = "duplicates"
from = "0.ORIGINAL"
"#;

fn parse(text: &str, set: &[&str]) -> Result<Pipeline, String> {
    let set: Vec<Override> = set.iter().map(|text| Override::parse(text).unwrap()).collect();
    Pipeline::parse("pipeline.toml", text, &set, STAGES).map_err(|error| error.to_string())
}

/// Replaces `old` in a good file and checks that the error begins with `expect`.
fn check(old: &str, new: &str, expect: &str) {
    assert!(GOOD.contains(old), "{old:?} is not in the file");
    let error = parse(&GOOD.replacen(old, new, 1), &[]).unwrap_err();
    assert!(error.starts_with(expect), "\n{error}\nshould begin with\n{expect}");
}

#[test]
fn stages_come_after_what_they_read_whatever_the_order_of_the_file() {
    let pipeline = parse(GOOD, &[]).unwrap();
    assert_eq!(pipeline.names(), ["0.ORIGINAL", "1.No_duplicates", "flow/6.Photos_64px"]);
    assert_eq!(pipeline.stages[2].from, Some(1));
    assert_eq!(pipeline.seed, 5);
    assert_eq!(pipeline.ancestors(1), [true, true, false]);
    assert_eq!(pipeline.descendants(1), [false, true, true]);
}

#[test]
fn the_shipped_pipeline_is_valid_and_trains_last() {
    let pipeline = parse(include_str!("../../pipeline.toml"), &[]).unwrap();
    let last: Vec<_> = pipeline.names().into_iter().rev().take(2).collect();
    assert_eq!(last, ["data_with_background/4.Train", "data_no_background/7.Train"]);
}

#[test]
fn mistakes_point_at_the_line_and_name_the_nearest_word() {
    check(
        "side = 32",
        "sid = 32",
        "pipeline.toml:14:1: unknown parameter of `resize` \"sid\"; did you mean \"side\"?\n    |\n 14 | sid = 32\n    | ^",
    );
    check("side = 32", "side = \"32\"", "pipeline.toml:14:8: side: expected a whole number, found the text \"32\"");
    check("side = 32", "side = 3", "pipeline.toml:14:8: side: 3 is outside 8 to 1024");
    check("\"resize\"", "\"resise\"", "pipeline.toml:12:7: unknown stage kind \"resise\"; did you mean \"resize\"?");
    check(
        "from = \"1.No_duplicates\"",
        "from = \"1.No_duplicate\"",
        "pipeline.toml:13:8: unknown stage \"1.No_duplicate\"; did you mean \"1.No_duplicates\"?",
    );
    check(
        "from = \"1.No_duplicates\"\n",
        "",
        "pipeline.toml:10:1: stage \"flow/6.Photos_64px\" does not say where its pictures come from: add `from = \"…\"`",
    );
    check(
        "use = \"original\"",
        "use = \"original\"\nfrom = \"x\"",
        "pipeline.toml:9:8: `original` finds the photos itself: it has no `from`",
    );
    check("name = \"0.ORIGINAL\"\n", "", "pipeline.toml:6:1: this stage has no name");
    check("seed = 5", "sead = 5", "pipeline.toml:4:1: unknown key \"sead\"; did you mean \"seed\"?");
    check("seed = 5", "seed = -5", "pipeline.toml:4:8: seed: expected a whole number from 0 up");
    check("[pipeline]", "[pipelin]", "pipeline.toml:2:2: unknown table \"pipelin\"; did you mean \"pipeline\"?");
    check("[[stage]]", "[stage]", "pipeline.toml:");
    check("name = \"flow/6.Photos_64px\"", "name = \"../x\"", "pipeline.toml:11:8: \"../x\" cannot be a folder below `data/`");
    check("name = \"flow/6.Photos_64px\"", "name = \"0.original\"", "pipeline.toml:10:1: there are two stages called \"0.original\"");
    check("name = \"flow/6.Photos_64px\"", "name = \"0.ORIGINAL/in\"", "pipeline.toml:10:1: the folder of");
    check("seed = 5", "seed = ", "pipeline.toml:4:");
}

#[test]
fn a_circle_is_drawn() {
    check(
        "from = \"0.ORIGINAL\"",
        "from = \"flow/6.Photos_64px\"",
        "pipeline.toml:10:1: these stages wait for each other in a circle: flow/6.Photos_64px ← 1.No_duplicates ← flow/6.Photos_64px",
    );
}

#[test]
fn training_needs_a_packed_dataset() {
    let train = format!("{GOOD}\n[[stage]]\nname = \"7.Train\"\nuse = \"train\"\nfrom = \"1.No_duplicates\"\n");
    let error = parse(&train, &[]).unwrap_err();
    assert!(error.contains("training reads a packed dataset: put an `export` stage between"), "{error}");
}

#[test]
fn overrides_reach_stages_by_their_short_names() {
    let pipeline = parse(GOOD, &["6.Photos_64px.side=128", "pipeline.seed=9", "6.photos_64px.fill=#ff0000"]).unwrap();
    let value = |name: &str| pipeline.stages[2].params.iter().find(|(other, _)| *other == name).unwrap().1.clone();
    assert_eq!((value("side"), value("fill"), pipeline.seed), (128.into(), "#ff0000".into(), 9));
    for (set, said) in [
        ("6.Photos_64px.sid=1", "--set 6.Photos_64px.sid=1: unknown parameter \"sid\"; did you mean \"side\"?"),
        ("6.Photos_64p.side=1", "--set 6.Photos_64p.side=1: there is no stage \"6.Photos_64p\"; did you mean \"6.Photos_64px\"?"),
    ] {
        assert_eq!(parse(GOOD, &[set]).unwrap_err(), said);
    }
    assert!(Override::parse("side=1").is_err());
}
