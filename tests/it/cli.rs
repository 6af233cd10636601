//! The command line: what it prints, and with which exit code it ends.

use std::fs;

use crate::home::{Home, SMALL};
use insta::assert_snapshot;

#[test]
fn a_mistake_in_the_pipeline_is_one_error_with_its_line_and_touches_nothing() {
    for (old, new) in [
        ("max_side", "max_sde"),
        ("use = \"zoom\"", "use = \"zom\""),
        ("from = \"4.Verified\"", "from = \"4.Verfied\""),
        ("from = \"0.ORIGINAL\"", "from = \"Export\""),
        ("max_side = 256", "max_side = \"big\""),
    ] {
        let home = Home::with_cats(&SMALL.replacen(old, new, 1), 1);
        let said = home.fails(&["run"]);
        assert!(said.starts_with("exit 2\nerror: pipeline.toml:"), "{said}");
        assert!(!home.path(".catgen").exists() && !home.path("runs").exists(), "{new} touched something");
    }
    assert_snapshot!(Home::new(&SMALL.replacen("max_side", "max_sde", 1)).fails(&["run"]), @r#"
    exit 2
    error: pipeline.toml:19:1: unknown parameter of `background` "max_sde"; did you mean "max_side"?
        |
     19 | max_sde = 256
        | ^
    "#);
}

#[test]
fn errors_say_what_happened_and_what_to_do() {
    let empty = tempfile::tempdir().unwrap();
    let home = Home::new(SMALL);
    assert_snapshot!(home.fails(&["-C", "nowhere", "run"]), @r"
    exit 2
    error: there is no pipeline.toml in nowhere
    hint: `catgen-pipe init` makes a workspace here; `-C DIR` works in another folder
    ");
    assert_snapshot!(home.fails(&["run"]), @r"
    exit 2
    error: there are no photos in data/0.ORIGINAL
    hint: copy your photos there, or draw some cats with `catgen-pipe sample`
    ");
    assert_snapshot!(home.fails(&["inspect", "3.Zoom_photo"]), @r#"
    exit 2
    error: there is no stage "3.Zoom_photo"; did you mean "3.Zoom_photos"?
    "#);
    assert_snapshot!(home.fails(&["inspect", "3.Zoom_photos"]), @r"
    exit 2
    error: 3.Zoom_photos was never finished, so there is nothing to look at
    hint: `catgen-pipe run --until 3.Zoom_photos` makes it
    ");
    assert_snapshot!(home.fails(&["run", "--set", "7=1"]), @r#"
    exit 2
    error: "7=1" is not of the form STAGE.key=value, for instance 7.Train.epochs=2
    "#);
    drop(empty);
}

#[test]
fn a_missing_model_is_said_before_anything_is_touched() {
    let home = Home::with_cats(&SMALL.replace("\"border\"", "\"no-such-model\""), 1);
    let said = home.fails(&["run"]);
    assert!(said.starts_with("exit 3\nerror: 2.No_background: ") && said.contains("hint: "), "{said}");
    assert!(!home.path("runs").exists());
}

#[test]
fn without_the_trainer_everything_else_is_done_and_one_message_says_so() {
    let home = Home::with_cats(&format!("{SMALL}{}", crate::home::TRAIN), 2);
    let output = home.command(&["run", "--json"]).env("CATGEN_TRAIN", "/nowhere").output().unwrap();
    let words = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(4), "{words}");
    assert!(words.contains("error: 7.Train: the trainer, `catgen-train`, is not on this machine"), "{words}");
    assert!(words.contains("hint: `make trainer`"), "{words}");
    let lines: Vec<serde_json::Value> =
        String::from_utf8(output.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.iter().filter(|line| line["event"] == "stage").count(), 8);
    assert_eq!(lines.last().unwrap()["status"], "failed");
    assert!(home.path("data/Export/train.npy").is_file());
}

#[test]
fn the_sample_is_not_drawn_among_photos() {
    let home = Home::new(SMALL);
    // A checkout has no folder for photos yet.
    fs::remove_dir(home.path("data/0.ORIGINAL")).unwrap();
    home.ok(&["sample", "--count", "1"]);
    assert!(home.fails(&["sample"]).contains("files already, and cartoons do not belong among your photos"), "{}", home.fails(&["sample"]));
}

#[test]
fn init_makes_a_workspace_once() {
    let home = Home::new(SMALL);
    home.ok(&["init", "cats"]);
    assert!(home.path("cats/data/0.ORIGINAL").is_dir());
    let text = fs::read_to_string(home.path("cats/pipeline.toml")).unwrap();
    let said = home.fails(&["init", "cats"]);
    assert!(
        said.starts_with("exit 2\nerror: cats/pipeline.toml exists already")
            || said.starts_with("exit 2\nerror: ./cats/pipeline.toml exists already"),
        "{said}"
    );
    assert_eq!(fs::read_to_string(home.path("cats/pipeline.toml")).unwrap(), text);
}

#[test]
fn the_json_lines_have_the_names_of_the_contract() {
    let home = Home::with_cats(SMALL, 4);
    let plan = home.lines(&["plan", "--json"]);
    let names = |value: &serde_json::Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(plan[0]["event"], "plan");
    for name in ["stage", "state", "reuse", "compute", "remove"] {
        assert!(names(&plan[0]).contains(&name.to_owned()), "{name}");
    }
    let run = home.run(&[]);
    assert_eq!(names(&run[0]), ["event", "stage", "items_in", "items_out", "reused", "computed", "removed", "rejected", "seconds"]);
    assert_eq!(names(run.last().unwrap()), ["event", "id", "status", "seconds"]);
    let item = &home.lines(&["inspect", "3.Zoom_photos", "--json"])[0];
    assert_eq!(names(item), ["name", "photo", "path", "digest", "width", "height", "bytes", "facts"]);
    assert_eq!(item["facts"]["window"].as_array().unwrap().len(), 4);
    assert!(home.path(item["path"].as_str().unwrap()).is_file());
    let background = &home.lines(&["inspect", "2.No_background", "--json"])[0];
    assert_eq!(background["facts"]["model"], "border");
    assert!(background["facts"]["subject_share"].as_f64().unwrap() > 0.0);
    let rejected = home.lines(&["inspect", "1.No_duplicates", "--rejected", "--json"]);
    assert!(!rejected.is_empty(), "the sample plants duplicates");
    assert_eq!(names(&rejected[0]), ["name", "photo", "kind", "reason", "of", "distance"]);
    assert_eq!(rejected[0]["kind"], "duplicate");
    let runs = home.lines(&["runs", "--json"]);
    assert_eq!(names(&runs[0]), ["id", "status", "started", "seconds", "dataset", "metrics", "pinned"]);
    for line in home.lines(&["status", "--json"]) {
        assert!(line["state"] == "fresh" && line["compute"] == 0 && line.get("reason").is_none(), "{line}");
    }
}

#[test]
fn why_names_what_changed() {
    let home = Home::with_cats(SMALL, 3);
    home.ok(&["run"]);
    let item = &home.lines(&["inspect", "6.Photos_64px", "--json"])[0];
    let (path, photo) = (item["path"].as_str().unwrap(), item["photo"].as_str().unwrap());
    let fresh = home.ok(&["why", path]);
    assert!(fresh.contains(": fresh, as run 0001-"), "{fresh}");
    home.ok(&["why", &format!("data/0.ORIGINAL/{photo}")]);
    fs::write(home.path("pipeline.toml"), SMALL.replace("max_side = 256", "max_side = 200")).unwrap();
    let said = home.ok(&["why", path]);
    assert!(said.contains("2.No_background.max_side 256 → 200"), "{said}");
    fs::write(home.path("pipeline.toml"), SMALL).unwrap();
    let photos = home.lines(&["inspect", "0.ORIGINAL", "--json"]);
    let digest = photos.iter().find(|other| other["name"] == photo).unwrap()["digest"].clone();
    let other = photos.into_iter().find(|other| other["digest"] != digest).unwrap();
    fs::copy(home.path("data/0.ORIGINAL").join(other["name"].as_str().unwrap()), home.path("data/0.ORIGINAL").join(photo)).unwrap();
    let said = home.ok(&["why", path]);
    assert!(said.contains(&format!("{photo} content changed (")), "{said}");
    fs::remove_file(home.path("data/0.ORIGINAL").join(photo)).unwrap();
    let said = home.ok(&["why", path]);
    assert!(said.contains("is gone: it will be removed"), "{said}");
    let said = home.ok(&["why", "data/6.Photos_64px/nobody.png"]);
    assert!(said.contains("no run made it"), "{said}");
}

#[test]
fn a_decision_takes_one_photo_out_and_undone_it_comes_back() {
    let home = Home::with_cats(SMALL, 4);
    home.ok(&["run"]);
    let count = |stage: &str| home.lines(&["inspect", stage, "--json"]).len();
    let (before, small) = (count("4.Verified"), count("6.Photos_64px"));
    let item = home.lines(&["inspect", "4.Verified", "--json"])[0].clone();
    let name = item["name"].as_str().unwrap();
    home.ok(&["verify", "reject", name]);
    let lines = home.run(&[]);
    let verified = lines.iter().find(|line| line["stage"] == "4.Verified").unwrap();
    assert_eq!((verified["computed"].as_u64(), verified["rejected"].as_u64()), (Some(1), Some(1)), "one decision touches one photo");
    assert_eq!(count("6.Photos_64px"), small - small / before);
    assert_eq!(home.lines(&["inspect", "4.Verified", "--rejected", "--json"])[0]["kind"], "decision");
    home.ok(&["verify", "undo", name]);
    assert!(home.computed(&[]).iter().take(6).all(|computed| *computed == 0));
    assert_eq!(count("6.Photos_64px"), small);
    assert!(home.fails(&["verify", "reject", name, "nobody"]).starts_with("exit 2\nerror: no picture of this stage is called \"nobody\""));
    home.ok(&["verify", "--json"]);
}

#[test]
fn a_dataset_packed_from_a_store_that_lost_its_pictures_has_them_all() {
    let home = Home::with_cats(SMALL, 3);
    home.ok(&["run"]);
    let dataset = fs::read(home.path("data/Export/train.npy")).unwrap();
    fs::remove_dir_all(home.path(".catgen/cas")).unwrap();
    let words = String::from_utf8(home.output(&["run", "--set", "Export.imagefolder=false"]).stderr).unwrap();
    assert!(words.contains("looking everything up again"), "{words}");
    assert_eq!(fs::read(home.path("data/Export/train.npy")).unwrap(), dataset);
    home.ok(&["run"]);
    assert!(home.computed(&[]).iter().all(|computed| *computed == 0));
}

#[test]
fn sheets_are_pictures() {
    let home = Home::with_cats(SMALL, 4);
    home.ok(&["run"]);
    for stage in ["0.ORIGINAL", "1.No_duplicates", "2.No_background", "6.Photos_64px", "Export"] {
        home.ok(&["inspect", stage, "--sheet", "sheet.png"]);
        let sheet = catgen_picture::decode(&fs::read(home.path("sheet.png")).unwrap(), None).unwrap();
        assert!(sheet.picture.width() > 200, "{stage}");
    }
    home.ok(&["inspect", "1.No_duplicates", "--rejected", "--sheet", "sheet.png"]);
}

#[test]
fn bad_input_is_rejected_with_its_reason_and_the_run_ends_well() {
    let home = Home::with_cats(SMALL, 3);
    let photos = home.path("data/0.ORIGINAL");
    let good = catgen_sample::draw(7439, 90).picture;
    let mut jpeg = Vec::new();
    image::codecs::jpeg::JpegEncoder::new(&mut jpeg).encode_image(&good).unwrap();
    fs::write(photos.join("empty.jpg"), b"").unwrap();
    fs::write(photos.join("text.jpg"), b"dear diary, today the cat sat on the keyboard").unwrap();
    fs::write(photos.join("truncated.jpg"), &jpeg[..jpeg.len() / 2]).unwrap();
    fs::write(photos.join("phone.heic"), b"\0\0\0\x18ftypheic\0\0\0\0mif1heic").unwrap();
    fs::write(photos.join("huge.png"), huge_png()).unwrap();
    let deep = image::DynamicImage::ImageRgb8(catgen_sample::draw(7439, 91).picture).into_rgb16();
    deep.save(photos.join("deep.png")).unwrap();
    fs::write(photos.join("dot.png"), catgen_picture::encode_png(&catgen_picture::Picture::Rgb(catgen_picture::RgbImage::new(1, 1))))
        .unwrap();
    fs::write(photos.join("a name with spaces é.jpg"), &jpeg).unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::{ffi::OsStrExt, fs::symlink};
        fs::copy(photos.join("deep.png"), photos.join(std::ffi::OsStr::from_bytes(b"caf\xE9.png"))).unwrap();
        symlink(&photos, photos.join("loop")).unwrap();
    }
    let before = fs::read_dir(&photos).unwrap().count();
    let lines = home.run(&[]);
    assert_eq!(lines.last().unwrap()["status"], "done");
    assert_eq!(fs::read_dir(&photos).unwrap().count(), before, "the user's folder was touched");
    let mut rejected: Vec<(String, String)> = ["0.ORIGINAL", "1.No_duplicates"]
        .iter()
        .flat_map(|stage| home.lines(&["inspect", stage, "--rejected", "--json"]))
        .filter(|line| !line["name"].as_str().unwrap().contains('/'))
        .map(|line| (line["name"].as_str().unwrap().to_owned(), line["kind"].as_str().unwrap().to_owned()))
        .collect();
    rejected.sort();
    let kinds: Vec<String> = rejected.iter().map(|(name, kind)| format!("{name}: {kind}")).collect();
    assert_snapshot!(kinds.join("\n"), @r"
    deep.png: duplicate
    empty.jpg: empty
    huge.png: too_large
    loop: link_loop
    phone.heic: damaged
    text.jpg: not_a_picture
    truncated.jpg: truncated
    ");
    assert!(home.computed(&[]).iter().all(|computed| *computed == 0), "a bad file was worked on twice");
}

/// A PNG whose header claims 60,000 × 60,000 pixels.
fn huge_png() -> Vec<u8> {
    let mut small = catgen_picture::encode_png(&catgen_picture::Picture::Rgb(catgen_picture::RgbImage::new(2, 2)));
    small[16..20].copy_from_slice(&60_000u32.to_be_bytes());
    small[20..24].copy_from_slice(&60_000u32.to_be_bytes());
    let crc = !small[12..29]
        .iter()
        .fold(!0u32, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg())));
    small[29..33].copy_from_slice(&crc.to_be_bytes());
    small
}

#[test]
fn a_value_of_no_use_is_a_mistake_in_the_configuration() {
    let home = Home::with_cats(SMALL, 1);
    let said = home.fails(&["run", "--set", "6.Photos_64px.fill=nosuchcolour"]);
    assert!(said.starts_with("exit 2\nerror: 6.Photos_64px: fill: "), "{said}");
    assert!(said.contains("\nhint: change `fill` of this stage in pipeline.toml"), "{said}");
    assert!(!home.path("runs").exists());
}

#[test]
fn a_bad_line_of_decisions_is_for_a_person_to_correct() {
    let home = Home::with_cats(SMALL, 1);
    home.ok(&["run"]);
    fs::write(home.path("data/decisions.jsonl"), "\nnonsense\n").unwrap();
    let status = home.output(&["status"]);
    let status = String::from_utf8([status.stdout, status.stderr].concat()).unwrap();
    assert!(status.contains("decisions.jsonl, line 2: ") && status.contains("correct that line"), "{status}");
    for command in ["run", "verify"] {
        let said = home.fails(&[command]);
        assert!(said.starts_with("exit 2\nerror: 4.Verified: "), "{command}: {said}");
        assert!(said.contains("decisions.jsonl, line 2: ") && said.contains("\nhint: correct "), "{command}: {said}");
    }
    // A file that the system keeps from us is nothing that a person wrote.
    fs::remove_file(home.path("data/decisions.jsonl")).unwrap();
    fs::create_dir(home.path("data/decisions.jsonl")).unwrap();
    for command in ["run", "verify"] {
        assert!(home.fails(&[command]).starts_with("exit 3\n"), "{command}");
    }
}

#[test]
fn why_names_a_stage_that_reads_another() {
    let home = Home::with_cats(SMALL, 3);
    home.ok(&["run"]);
    let item = &home.lines(&["inspect", "6.Photos_64px", "--json"])[0];
    let (path, photo) = (item["path"].as_str().unwrap(), item["photo"].as_str().unwrap());
    let everywhere = home.lines(&["why", &format!("data/0.ORIGINAL/{photo}"), "--json"]);
    assert!(everywhere.len() >= 7 && everywhere.iter().all(|line| line["fresh"] == true), "{everywhere:?}");
    assert!(home.ok(&["why", "data/Export/train.npy"]).contains(": fresh"));
    fs::write(home.path("pipeline.toml"), SMALL.replace("from = \"5.Augmented_data\"", "from = \"4.Verified\"")).unwrap();
    for file in [path, "data/Export/train.npy"] {
        let said = home.ok(&["why", file]);
        assert!(said.contains("6.Photos_64px reads other pictures than before"), "{said}");
    }
    let before = home.lines(&["inspect", "5.Augmented_data", "--json"])[0]["path"].as_str().unwrap().to_owned();
    assert!(home.ok(&["why", &before]).contains(": fresh"), "nothing before the change is concerned");
    let new = "[[stage]]\nname = \"Again\"\nuse = \"verify\"\nfrom = \"5.Augmented_data\"\n\n[[stage]]\nname = \"6.Photos_64px\"";
    let inserted = SMALL.replace("from = \"5.Augmented_data\"", "from = \"Again\"").replace("[[stage]]\nname = \"6.Photos_64px\"", new);
    fs::write(home.path("pipeline.toml"), inserted).unwrap();
    let said = home.ok(&["why", path]);
    assert!(said.contains("6.Photos_64px reads Again now, which never ran"), "{said}");
    fs::write(home.path("data/0.ORIGINAL").join(photo), b"edited").unwrap();
    let said = home.ok(&["why", path]);
    assert!(said.contains("is gone") || said.contains("content changed"), "the photo's own reason is the better one: {said}");
}

#[test]
#[cfg(unix)]
fn why_finds_a_file_through_a_linked_folder() {
    let home = Home::with_cats(SMALL, 1);
    home.ok(&["run"]);
    let elsewhere = tempfile::tempdir().unwrap();
    let link = elsewhere.path().join("link");
    std::os::unix::fs::symlink(home.folder.path(), &link).unwrap();
    let item = &home.lines(&["inspect", "6.Photos_64px", "--json"])[0];
    let said = home.ok(&["why", link.join(item["path"].as_str().unwrap()).to_str().unwrap()]);
    assert!(said.contains(": fresh, as run 0001-"), "{said}");
}

#[test]
fn a_decision_about_a_photo_is_listed_and_undone_too() {
    let home = Home::with_cats(SMALL, 4);
    home.ok(&["run"]);
    let count = || home.lines(&["inspect", "4.Verified", "--json"]).len();
    let before = count();
    let item = home.lines(&["inspect", "4.Verified", "--json"])[0].clone();
    let (name, photo) = (item["name"].as_str().unwrap(), item["photo"].as_str().unwrap());
    let photos = home.lines(&["inspect", "0.ORIGINAL", "--json"]);
    let digest = photos.iter().find(|other| other["name"] == photo).unwrap()["digest"].clone();
    let file = home.path("data/decisions.jsonl");
    fs::write(&file, format!("{{\"digest\":{digest},\"decision\":\"reject\"}}\n")).unwrap();
    let decision = || home.lines(&["verify", "--json"]).iter().find(|line| line["name"] == name).map(|line| line["decision"].clone());
    assert_eq!(decision().unwrap(), "reject", "while it still goes on");
    home.ok(&["run"]);
    assert_eq!((count(), decision().unwrap()), (before - 1, "reject".into()), "once it is stopped");
    home.ok(&["verify", "accept", name]);
    assert_eq!(decision().unwrap(), "accept", "the word about the picture is the stronger one");
    let lines = || fs::read_to_string(&file).unwrap().lines().count();
    assert_eq!(lines(), 2);
    let undo = |names: &[&str]| String::from_utf8(home.output(&[&["verify", "undo"], names].concat()).stderr).unwrap();
    assert_eq!(undo(&["*"]), "undo: 1 pictures; `catgen-pipe run` obeys\n");
    assert_eq!(lines(), 4, "one for the picture, one for its photo");
    assert!(decision().is_none_or(|decision| decision.is_null()));
    assert_eq!(undo(&[name, photo]), "nothing to undo\n");
    assert_eq!(lines(), 4);
    home.ok(&["run"]);
    assert_eq!(count(), before);
}

#[test]
fn generate_says_that_the_training_is_gone() {
    let home = Home::with_cats(SMALL, 1);
    home.ok(&["run"]);
    let id = home.lines(&["runs", "--json"])[0]["id"].as_str().unwrap().to_owned();
    let record = home.path("runs").join(&id).join("run.json");
    let mut run: serde_json::Value = serde_json::from_slice(&fs::read(&record).unwrap()).unwrap();
    let folder = format!("runs/{id}/Train");
    run["metrics"]["7.Train"] = serde_json::json!({ "epoch": 1, "folder": folder });
    fs::write(&record, run.to_string()).unwrap();
    let gone = |what: &str| format!("exit 2\nerror: the training of run {id} is gone: {what} does not exist\nhint: ");
    let said = home.fails(&["generate"]);
    assert!(said.starts_with(&gone(&folder)) && !home.path(&folder).exists(), "{said}");
    fs::create_dir(home.path(&folder)).unwrap();
    let said = home.fails(&["generate", "--out", "drawn"]);
    assert!(said.starts_with(&gone(&format!("{folder}/checkpoints"))) && !home.path("drawn").exists(), "{said}");
}

/// The binary with standard output or standard error of our choice.
#[cfg(target_os = "linux")]
fn plain(home: &Home, args: &[&str]) -> std::process::Command {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_catgen-pipe"));
    command.current_dir(home.folder.path()).args(args).env_remove("CATGEN_LOG");
    command
}

#[test]
#[cfg(target_os = "linux")]
fn a_run_goes_on_when_nobody_can_read_about_it() {
    let full = || fs::File::create("/dev/full").unwrap();
    let home = Home::with_cats(SMALL, 1);
    let output = plain(&home, &["run", "--json"]).stdout(full()).output().unwrap();
    let words = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{words}");
    assert_eq!(words.matches("note: cannot write the output").count(), 1, "{words}");
    assert!(words.contains("done in "), "{words}");
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = plain(&home, &["run", "--json", "--set", "pipeline.seed=1"]).stdout(writer).output().unwrap();
    let words = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && words.contains("done in ") && !words.contains("note: "), "{words}");
    let runs = home.lines(&["runs", "--json"]);
    assert_eq!(runs.len(), 2);
    assert!(runs.iter().all(|run| run["status"] == "done"), "{runs:?}");
    // Commands that only print: a reader that went away is no error, lost data is.
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = plain(&home, &["stages", "--json"]).stdout(writer).output().unwrap();
    assert_eq!((output.status.code(), output.stderr), (Some(0), Vec::new()));
    let output = plain(&home, &["stages", "--json"]).stdout(full()).output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    assert!(output.stderr.starts_with(b"error: cannot write the output: "));
}

#[test]
#[cfg(target_os = "linux")]
fn nobody_has_to_hear_what_is_said() {
    let home = Home::with_cats(SMALL, 1);
    for (args, code) in [
        (&["-vv", "run"][..], 0),
        (&["inspect", "4.Verified"], 0),
        (&["verify", "list"], 0),
        (&["verify", "reject", "*"], 0),
        (&["inspect", "0.ORIGINAL", "--sheet", "sheet.png"], 0),
        (&["inspect", "nothing"], 2),
        (&["-C", "nowhere", "run"], 2),
    ] {
        let status = plain(&home, args).stdout(std::process::Stdio::null()).stderr(fs::File::create("/dev/full").unwrap()).status();
        assert_eq!(status.unwrap().code(), Some(code), "{args:?}");
    }
}
