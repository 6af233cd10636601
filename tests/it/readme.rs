//! The README is true: its commands run, and the tables of parameters are those of the program.

use std::{fs, path::Path, process::Command};

const README: &str = include_str!("../../README.md");
const PARAMETERS: &str = include_str!("../../docs/parameters.md");
const GENERATE: &str = include_str!("../../docs/generate.md");

#[test]
fn the_tables_of_parameters_are_those_of_the_program() {
    let output = Command::new(env!("CARGO_BIN_EXE_catgen-pipe")).args(["stages", "--markdown"]).output().unwrap();
    let tables = String::from_utf8(output.stdout).unwrap();
    assert!(tables.lines().count() > 40);
    assert!(PARAMETERS.contains(tables.trim()), "put the output of `catgen-pipe stages --markdown` into docs/parameters.md");
}

/// Runs, in order and in one fresh folder, every line of the README, and of the page on generating, that begins with `$ catgen-pipe`.
#[test]
fn the_commands_of_the_readme_run() {
    let folder = tempfile::tempdir().unwrap();
    let commands_of = |page: &'static str| page.lines().filter_map(|line| line.strip_prefix("$ catgen-pipe ")).collect::<Vec<&str>>();
    let commands = [commands_of(README), commands_of(GENERATE)];
    assert!(commands.iter().all(|commands| commands.len() >= 8), "a page shows no commands");
    let commands = commands.concat();
    let mut dir = folder.path().to_owned();
    let has_trainer = trainer().is_file();
    let mut skipped = 0;
    for command in commands {
        // Words in quotes stay together.
        let words: Vec<String> = command
            .split('#')
            .next()
            .unwrap()
            .split('\'')
            .enumerate()
            .flat_map(|(at, part)| if at % 2 == 1 { vec![part.to_owned()] } else { part.split_whitespace().map(str::to_owned).collect() })
            .collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let needs_trainer = words.contains(&"--layer")
            || matches!(words[0], "train" | "generate" | "interpolate" | "export" | "features" | "reel" | "runs" | "evaluate");
        if needs_trainer && !has_trainer {
            skipped += 1;
            continue;
        }
        let mut run = Command::new(env!("CARGO_BIN_EXE_catgen-pipe"));
        run.current_dir(&dir).args(&words);
        // What takes minutes for a reader takes seconds here, by the same options a reader has.
        match words[0] {
            "sample" => drop(run.args(["--count", "6"])),
            "run" if !words.contains(&"--until") => {
                for stage in ["7.Train", "4.Train"] {
                    for set in ["epochs=1", "width=4", "max_images=128", "evaluate_images=16", "features=random"] {
                        run.args(["--set", &format!("{stage}.{set}")]);
                    }
                }
                if !has_trainer {
                    run.args(["--until", "data_no_background/Export", "--until", "data_with_background/Export"]);
                }
            }
            "train" => drop(run.args(["--set", "epochs=1", "--set", "width=4", "--set", "max_images=128", "--set", "evaluate_images=16"])),
            "evaluate" => drop(run.args(["-n", "16", "--features", "random"])),
            _ => {}
        }
        let output = run.output().unwrap();
        assert_eq!(output.status.code(), Some(0), "catgen-pipe {command}\n{}", String::from_utf8_lossy(&output.stderr));
        if words[0] == "init" {
            dir = folder.path().join(words.get(1).unwrap_or(&"."));
            // The stage that takes a network and its weights has tests of its own; a plain `cargo test` has no model file.
            let pipeline = fs::read_to_string(dir.join("pipeline.toml")).unwrap();
            fs::write(dir.join("pipeline.toml"), pipeline.replace("\"u2netp\"", "\"border\"")).unwrap();
        }
    }
    if skipped > 0 {
        eprintln!("skipped: {skipped} commands of the README need catgen-train, which is not built");
    }
    assert!(fs::read_dir(dir.join("data")).unwrap().count() > 2);
}

fn trainer() -> std::path::PathBuf {
    Path::new(env!("CARGO_BIN_EXE_catgen-pipe")).with_file_name(format!("catgen-train{}", std::env::consts::EXE_SUFFIX))
}
