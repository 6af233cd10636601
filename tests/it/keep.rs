//! What a stage keeps, and what it may lose: `store = "none"`, variants, too many rejections, stages that work in batches.

use std::fs;

use catgen_pipe::{
    progress::Silent,
    run::{self, Options},
};

use crate::bench::{Bench, PIPELINE, files};

/// The pipeline of fakes in which some stages keep no pictures.
fn without(stages: &[&str]) -> String {
    stages.iter().fold(PIPELINE.to_owned(), |text, stage| {
        let line = format!("name = \"{stage}\"\n");
        assert!(text.contains(&line));
        text.replace(&line, &format!("{line}store = \"none\"\n"))
    })
}

fn bench(pipeline: &str) -> Bench {
    let bench = Bench::new(pipeline);
    (0..10).for_each(|n| bench.photo(&format!("cat{n}.png"), [20 * n + 8, 100, 200]));
    bench
}

/// How often the code of each fake ran since the last call: darken, copy, tiny.
fn ran(bench: &Bench) -> [usize; 3] {
    ["darken", "copy", "tiny"].map(|kind| bench.ran(kind))
}

#[test]
fn pictures_that_are_not_kept_are_made_again_only_where_they_are_needed() {
    let kept = bench(PIPELINE);
    kept.run(&[]);
    let bench = bench(&without(&["2.Dark", "in/3.Copies"]));
    bench.run(&[]);
    assert_eq!(ran(&bench), [10, 10, 30]);
    let last = |bench: &Bench| files(&bench.path("data/4.Tiny"));
    assert_eq!(last(&bench), last(&kept), "what is kept depends on what is not");
    for stage in ["2.Dark", "in/3.Copies"] {
        let names: Vec<String> = files(&bench.path("data").join(stage)).into_keys().collect();
        assert_eq!(names, ["README.txt"]);
    }
    let blobs = |bench: &Bench| files(&bench.path(".catgen/cas")).len();
    assert!(blobs(&bench) < blobs(&kept), "nothing was saved");

    // Nothing to do is nothing to make.
    assert!(bench.counts(&[]).iter().all(|(computed, _, _)| *computed == 0));
    assert_eq!(ran(&bench), [0, 0, 0]);
    // One new photo is one photo made, through stages that keep nothing.
    bench.photo("new.png", [251, 1, 1]);
    assert_eq!(bench.counts(&[]).iter().map(|(computed, _, _)| *computed).collect::<Vec<_>>(), [1, 1, 1, 3, 3]);
    assert_eq!(ran(&bench), [1, 1, 3]);
    // A lost picture of the last stage costs one picture, and what it is made from.
    let manifest = fs::read_dir(bench.path("data/4.Tiny")).unwrap().next().unwrap().unwrap().path();
    let lost = blake3::hash(&fs::read(&manifest).unwrap()).to_hex().to_string();
    fs::remove_file(&manifest).unwrap();
    let blob = files(&bench.path(".catgen/cas")).into_keys().find(|name| name.replace('/', "").ends_with(&lost[2..])).unwrap();
    fs::remove_file(bench.path(".catgen/cas").join(blob)).unwrap();
    let views = bench.run(&[]);
    assert_eq!(views.stages[4].computed, 1);
    assert_eq!(ran(&bench), [1, 1, 1]);
    assert!(manifest.exists());
}

#[test]
fn a_stage_can_begin_and_stop_keeping_its_pictures() {
    let bench = bench(PIPELINE);
    bench.run(&[]);
    let views = bench.views();
    bench.pipeline(&without(&["in/3.Copies"]));
    assert_eq!(bench.plan(&[])[3].reason.as_deref(), Some("3.Copies.store files → none"));
    bench.run(&[]);
    assert_eq!(bench.views().into_keys().filter(|name| name.starts_with("in/")).collect::<Vec<_>>(), ["in/3.Copies/README.txt"]);
    ran(&bench);
    bench.pipeline(PIPELINE);
    bench.run(&[]);
    // They were in the store from before.
    assert_eq!((bench.views(), ran(&bench)), (views, [0, 0, 0]));
}

#[test]
fn a_matrix_shares_what_comes_before_it_and_what_comes_out_equal() {
    let varied = PIPELINE.replace("copies = 3", "matrix = { copies = [2, 3] }");
    let bench = bench(&varied);
    let summary = bench.run(&[]);
    let names: Vec<_> = summary.stages.iter().map(|stage| stage.stage.as_str()).collect();
    assert_eq!(names[3..], ["in/3.Copies@copies=2", "in/3.Copies@copies=3", "4.Tiny@copies=2", "4.Tiny@copies=3"]);
    // The first two copies are the same pictures in both variants: tiny sees 30 contents and not 50.
    assert_eq!(ran(&bench), [10, 20, 30]);
    assert_eq!(files(&bench.path("data/4.Tiny@copies=2")).len(), 20);
    assert_eq!(files(&bench.path("data/4.Tiny@copies=3")).len(), 30);
    bench.pipeline(&PIPELINE.replace("copies = 3", "matrix = { copies = [2, 3, 4] }"));
    bench.run(&[]);
    assert_eq!(ran(&bench), [0, 10, 10]);
}

#[test]
fn too_many_rejections_stop_the_run_after_the_stage_and_keep_what_is_done() {
    let bench = bench(&PIPELINE.replace("use = \"darken\"", "use = \"darken\"\nmax_rejected = \"10%\""));
    bench.photo("grey0.png", [77, 77, 77]);
    bench.run(&[]);
    bench.photo("grey1.png", [77, 77, 77]);
    bench.pipeline(&PIPELINE.replace("use = \"darken\"", "use = \"darken\"\nmax_rejected = 0"));
    for _ in 0..2 {
        let error = bench.try_run(&[], &Silent).unwrap_err();
        assert_eq!(error.exit_code(), 3);
        let said = "1 of 11 pictures were rejected, and max_rejected is 0; the first is grey0.png: this picture is grey";
        assert!(error.to_string().contains(said), "{error}");
    }
    ran(&bench);
    bench.pipeline(PIPELINE);
    bench.run(&[]);
    assert_eq!(ran(&bench), [0, 0, 0]);
}

#[test]
fn strict_is_about_what_went_wrong_and_not_about_what_was_decided() {
    let bench = bench(PIPELINE);
    bench.photo("same.png", [8, 1, 1]);
    bench.photo("grey.png", [77, 77, 77]);
    let strict = Options { strict: true, ..Options::default() };
    run::run(&mut bench.project(&[]).unwrap(), &strict, &Silent).unwrap();
    fs::write(bench.path("data/0.ORIGINAL/broken.png"), b"no picture").unwrap();
    let error = run::run(&mut bench.project(&[]).unwrap(), &strict, &Silent).unwrap_err();
    assert_eq!(error.exit_code(), 3);
    assert!(error.to_string().contains("1 of 13 pictures could not be worked on; the first is broken.png"), "{error}");
    bench.run(&[]);
}

#[test]
fn a_stage_that_works_in_batches_is_cached_per_picture() {
    let bench = bench(&PIPELINE.replace("use = \"darken\"", "use = \"group\""));
    let kept = self::bench(PIPELINE);
    kept.run(&[]);
    let group = |bench: &Bench| (bench.ran("group"), fs::read_to_string(bench.path("group.log")).unwrap_or_default());
    fs::write(bench.path("fail_after"), "4").unwrap();
    let error = bench.try_run(&[], &Silent).unwrap_err();
    assert_eq!((error.exit_code(), error.to_string().as_str()), (3, "2.Dark: it ran out of paint"));
    assert_eq!(group(&bench).0, 4);
    // What it had told of is kept.
    fs::remove_file(bench.path("fail_after")).unwrap();
    assert_eq!(bench.counts(&[])[2], (6, 4, 0));
    assert_eq!(group(&bench).0, 6);
    assert_eq!(bench.views(), kept.views());
    // Nothing to do: its program is not even started.
    fs::remove_file(bench.path("group.log")).unwrap();
    assert_eq!(bench.counts(&[])[2], (0, 10, 0));
    assert_eq!(group(&bench), (0, String::new()));
    bench.photo("cat3.png", [250, 9, 9]);
    bench.photo("new.png", [252, 9, 9]);
    bench.remove("cat5.png");
    assert_eq!(bench.plan(&[])[2].compute, 2);
    assert_eq!(bench.counts(&[])[2], (2, 8, 1));
    assert_eq!(group(&bench), (2, "~cat3.png +new.png -cat5.png".to_owned()));
    bench.pipeline(&PIPELINE.replace("use = \"darken\"", "use = \"group\"\nstore = \"none\""));
    let error = bench.try_run(&[], &Silent).unwrap_err();
    assert!(error.to_string().contains("it works on many pictures in one go"), "{error}");
}
