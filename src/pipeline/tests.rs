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

/// The good file with a stage that varies two parameters and another that reads it.
fn with_matrix(matrix: &str, from: &str) -> String {
    let text = GOOD.replace("side = 32", &format!("matrix = {matrix}"));
    format!("{text}\n[[stage]]\nname = \"8.Again\"\nuse = \"resize\"\nfrom = \"{from}\"\nmatrix = {{ fill = [\"#fff\", \"#000\"] }}\n")
}

#[test]
fn a_matrix_makes_one_stage_of_every_choice_and_so_of_all_that_read_it() {
    let pipeline = parse(&with_matrix("{ side = [32, 64], fit = [\"crop\"] }", "flow/6.Photos_64px"), &[]).unwrap();
    let names = [
        "0.ORIGINAL",
        "1.No_duplicates",
        "flow/6.Photos_64px@side=32,fit=crop",
        "flow/6.Photos_64px@side=64,fit=crop",
        "8.Again@side=32,fit=crop,fill=fff",
        "8.Again@side=32,fit=crop,fill=000",
        "8.Again@side=64,fit=crop,fill=fff",
        "8.Again@side=64,fit=crop,fill=000",
    ];
    assert_eq!(pipeline.names(), names);
    assert_eq!(pipeline.stages[7].from, Some(3));
    assert_eq!(pipeline.find_all("8.Again").unwrap(), [4, 5, 6, 7]);
    assert_eq!(pipeline.find_all("6.photos_64PX").unwrap(), [2, 3]);
    assert_eq!(pipeline.find("6.Photos_64px@side=64,fit=crop").unwrap(), 3);
    assert!(pipeline.find("8.Again").unwrap_err().starts_with("\"8.Again\" may mean 8.Again@side=32"));
    // One variant alone is read like any stage.
    let one = parse(&with_matrix("{ side = [32, 64] }", "flow/6.Photos_64px@side=64"), &[]).unwrap();
    assert_eq!(one.names()[4..], ["8.Again@fill=fff", "8.Again@fill=000"]);
    assert_eq!(one.stages[4].from, Some(3));
}

#[test]
fn overrides_reach_all_variants_or_one() {
    let text = with_matrix("{ side = [32, 64] }", "flow/6.Photos_64px");
    let value = |pipeline: &Pipeline, at: usize, key: &str| {
        let params = &pipeline.stages[at].params;
        params.iter().find(|(name, _)| *name == key).map(|(_, value)| value.clone()).unwrap()
    };
    let all = parse(&text, &["6.Photos_64px.fit=crop"]).unwrap();
    assert_eq!((value(&all, 2, "fit"), value(&all, 3, "fit")), ("crop".into(), "crop".into()));
    let one = parse(&text, &["flow/6.Photos_64px@side=64.fit=crop"]).unwrap();
    assert_eq!((value(&one, 2, "fit"), value(&one, 3, "fit")), ("expand".into(), "crop".into()));
    assert!(parse(&text, &["6.Photos_64px.side=8"]).unwrap_err().contains("side of flow/6.Photos_64px is varied by its matrix"));
}

#[test]
fn what_a_matrix_cannot_be_is_said_at_its_line() {
    for (matrix, said) in [
        ("{ sid = [1] }", "matrix: unknown parameter \"sid\"; did you mean \"side\"?"),
        ("{ side = 32 }", "matrix: expected a table with a list of values"),
        ("{ side = [] }", "matrix: expected a table with a list of values"),
        ("{ side = [32, 32] }", "matrix: side: 32 is there twice"),
        ("{ side = [4] }", "matrix: side: 4 is outside"),
        ("{ fill = [\"#fff\", \"fff\"] }", "two values of this stage's matrix would share the folder"),
    ] {
        let error = parse(&with_matrix(matrix, "flow/6.Photos_64px"), &[]).unwrap_err();
        assert!(error.contains(said), "{matrix}\n{error}");
    }
    let error = parse(&with_matrix("{ side = [32, 64] }", "flow/6.Photos_64px@side=65"), &[]).unwrap_err();
    assert!(error.contains("unknown variant of \"flow/6.Photos_64px\" \"side=65\"; did you mean \"side=64\"?"), "{error}");
    check("side = 32", "side = 32\nmatrix = { side = [1] }", "pipeline.toml:15:10: matrix: side: 1 is outside");
    check("side = 32", "side = 32\nmatrix = { side = [64] }", "pipeline.toml:14:1: side is varied by `matrix`: take out this line or that");
}

#[test]
fn only_what_is_read_picture_by_picture_may_be_left_unkept() {
    let good = parse(&GOOD.replace("side = 32", "side = 32\nstore = \"none\""), &[]).unwrap();
    assert_eq!(good.stages.iter().map(|stage| stage.keeps).collect::<Vec<_>>(), [true, true, false]);
    check("side = 32", "store = \"non\"", "pipeline.toml:14:9: store: expected \"files\" or \"none\", found \"non\"");
    check(
        "use = \"duplicates\"",
        "use = \"duplicates\"\nstore = \"none\"",
        "pipeline.toml:19:9: `duplicates` cannot make one picture again",
    );
    let read_at_once = "side = 32\nstore = \"none\"\n\n[[stage]]\nname = \"Export\"\nuse = \"export\"\nfrom = \"flow/6.Photos_64px\"";
    check("side = 32", read_at_once, "pipeline.toml:15:9: \"Export\" reads all pictures of \"flow/6.Photos_64px\" at once");
    check("side = 32", "max_rejected = \"5\"", "pipeline.toml:14:16: max_rejected: expected a number of pictures");
}
