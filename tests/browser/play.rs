//! What is done with what was trained: the game, trainings, tuning, the latent explorer, how it draws.

use std::fs;

use serde_json::Value;

use super::{
    browser::{Browser, Look},
    home::{Home, has_trainer},
    served::Studio,
};

/// Photos, half of them held out, and a training of seconds. Comments are here to be kept.
const PLAY: &str = r#"# Mine.
[[stage]]
name = "0.ORIGINAL"
use = "original"

[[stage]]
name = "3.Zoom_photos"   # makes them large
use = "zoom"
from = "0.ORIGINAL"
margin = 0.1             # not too near

[[stage]]
name = "6.Photos_64px"
use = "resize"
from = "3.Zoom_photos"

[[stage]]
name = "Export"
use = "export"
from = "6.Photos_64px"
held_out = 0.5

[[stage]]
name = "7.Train"
use = "train"
from = "Export"
epochs = 2
batch = 4
width = 4
device = "cpu"
features = "random"
evaluate_images = 16
"#;

/// A workspace in which something was trained; `None` with a word about what is skipped.
fn trained(test: &str) -> Option<Home> {
    if !has_trainer(test) {
        return None;
    }
    let home = Home::with_cats(PLAY, 24);
    home.ok(&["run"]);
    Some(home)
}

/// A page that nothing complains about, which everybody can use, at every size and in both colours.
fn everybody_can_use(browser: &Browser, page: &str) {
    for look in [Look::DESKTOP, Look::DESKTOP.dark(), Look::PHONE, Look::ZOOMED] {
        browser.look(look);
        let wide = browser.script("return document.documentElement.scrollWidth - innerWidth");
        assert!(wide.as_i64().unwrap() <= 0, "{page} at {} pixels is {wide} too wide", look.width);
        let found = browser.axe().unwrap_or_default();
        assert!(found.is_empty(), "{page}, {look:?}:\n{}", found.join("\n"));
    }
    browser.look(Look::DESKTOP);
    assert_eq!(browser.complaints(), [""; 0], "{page}");
}

/// The 95 % interval after Wilson in whole percents, written down apart from the program.
fn wilson(count: f64, of: f64) -> (f64, f64) {
    let (z, p) = (1.96, count / of);
    let middle = p + z * z / (2.0 * of);
    let half = z * (p * (1.0 - p) / of + z * z / (4.0 * of * of)).sqrt();
    let whole = 1.0 + z * z / of;
    ((100.0 * (middle - half) / whole).round(), (100.0 * (middle + half) / whole).round())
}

#[test]
fn a_game_of_twenty_answers_has_the_right_interval() {
    let test = "a_game_of_twenty_answers_has_the_right_interval";
    let Some(home) = trained(test) else { return };
    let studio = Studio::open(&home);
    let Some(browser) = Browser::of(test, &studio) else { return };
    browser.go(&studio.at("/game"));
    everybody_can_use(&browser, "the game before it begins");
    browser.click("#start button");
    browser.until("document.querySelector('#play').dataset.nth === '0'");
    everybody_can_use(&browser, "the game");

    let game = browser.script("return new URL(document.querySelector('#shown').src).pathname.split('/')[2]");
    let game = game.as_str().unwrap();
    // Neither the pictures to come nor the score are told before their time.
    let status = |path: &str| browser.script_then(&format!("fetch({path:?}).then((answer) => done(answer.status))"));
    assert_eq!((status(&format!("/game/{game}/1")), status(&format!("/game/{game}/2"))), (200.into(), 404.into()));

    assert_eq!(browser.text("#left"), "1 of 20");
    let lines = || fs::read_to_string(home.path("data/answers.jsonl")).unwrap_or_default().lines().count();
    let mut heads = Vec::new();
    for nth in 0..20 {
        browser.until(&format!(
            "document.querySelector('#play').dataset.nth === '{nth}' && document.querySelector('#shown').src.endsWith('/{nth}')"
        ));
        // This picture is shown, so the answers to all before it are on the disk, and this one's is not.
        assert_eq!(lines(), nth);
        let head = format!(
            "fetch('/game/{game}/{nth}').then((answer) => done([...answer.headers].filter(([name]) => name !== 'date').join('\\n')))"
        );
        heads.push(browser.script_then(&head));
        assert_eq!(status(&format!("/game/result/{game}")), 404);
        browser.keys(if nth % 3 == 0 { "f" } else { "j" });
    }
    browser.until("location.pathname.startsWith('/game/result/')");
    heads.dedup();
    assert_eq!(heads.len(), 1, "answers differ in more than their pixels: {heads:?}");
    assert!(heads[0].as_str().unwrap().contains("content-length"), "{heads:?}");

    let answers: Vec<Value> =
        fs::read_to_string(home.path("data/answers.jsonl")).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(answers.len(), 20);
    let is_fake = |answer: &&Value| answer["shown"] == "generated";
    assert!(answers.chunks(10).all(|block| block.iter().filter(is_fake).count() == 5), "blocks are balanced");
    let count = |fake: bool, said_real: bool| answers.iter().filter(|line| is_fake(line) == fake && line["said_real"] == said_real).count();
    assert!(answers.iter().all(|line| line["milliseconds"].as_u64().is_some_and(|time| time < 60_000)));
    let result = browser.text("main");
    for (name, count) in [("taken for real", count(true, true)), ("called generated", count(false, false))] {
        let (low, high) = wilson(count as f64, 10.0);
        let words = format!("{count} of 10\n{} % ({low} % to {high} %)", 10 * count);
        assert!(result.contains(name) && result.replace("\n\n", "\n").contains(&words), "{name}: {words:?} is not in\n{result}");
    }
    // Every held-out photo that was shown is one that was not trained on.
    let index = fs::read_to_string(home.path("data/Export/index.jsonl")).unwrap();
    let held_out: Vec<Value> =
        index.lines().map(|line| serde_json::from_str(line).unwrap()).filter(|row: &Value| row["file"] == "held_out.npy").collect();
    for answer in answers.iter().filter(|answer| !is_fake(answer)) {
        assert!(held_out.iter().any(|row| row["photo"] == answer["photo"]), "{answer}");
    }
    drop(browser.complaints()); // of what was asked for too early
    everybody_can_use(&browser, "the result of a game");
    let table = browser.script_then("fetch('/answers.csv').then((answer) => answer.text()).then(done)");
    assert_eq!(table.as_str().unwrap().lines().count(), 21);
}

#[test]
fn a_parameter_is_tried_applied_and_taken_back() {
    let test = "a_parameter_is_tried_applied_and_taken_back";
    let home = Home::with_cats(PLAY, 6);
    let studio = Studio::open(&home);
    let Some(browser) = Browser::of(test, &studio) else { return };
    browser.go(&studio.at("/tuning?stage=3.Zoom_photos"));
    browser.until("document.querySelectorAll('.tried').length === 8");
    everybody_can_use(&browser, "tuning");
    let set = |value: &str| {
        let script = "const input = document.querySelector('[data-name=margin]'); input.value = VALUE; input.dispatchEvent(new Event('input', { bubbles: true }))";
        browser.script(&script.replace("VALUE", &format!("{value:?}")));
    };
    set("0.45");
    browser.until("document.querySelectorAll('.then').length === 8");
    assert_eq!(fs::read_to_string(home.path("pipeline.toml")).unwrap(), PLAY, "nothing is written before somebody applies it");

    // A mistake is told as every command tells it.
    set("7");
    browser.until("!document.querySelector('#mistake').hidden");
    fs::write(home.path("pipeline.toml"), PLAY.replace("margin = 0.1 ", "margin = 7 ")).unwrap();
    let told = home.fails(&["plan"]).replace("exit 2\nerror: ", "");
    assert_eq!(browser.text("#mistake").trim(), told.trim());
    fs::write(home.path("pipeline.toml"), PLAY).unwrap();

    set("0.45");
    browser.until("document.querySelector('#mistake').hidden");
    browser.click("#apply");
    browser.until("document.querySelector('#undo') && !document.querySelector('#undo').disabled");
    assert_eq!(fs::read_to_string(home.path("pipeline.toml")).unwrap(), PLAY.replace("margin = 0.1 ", "margin = 0.45 "));
    browser.click("#undo");
    browser.until("document.querySelector('#undo')?.disabled");
    assert_eq!(fs::read_to_string(home.path("pipeline.toml")).unwrap(), PLAY);

    // Somebody's editor was quicker: nothing of theirs is overwritten.
    let theirs = PLAY.replace("# Mine.", "# Ours.");
    fs::write(home.path("pipeline.toml"), &theirs).unwrap();
    set("0.3");
    browser.click("#apply");
    browser.until("document.querySelector('#mistake').textContent.includes('was changed since this page was made')");
    assert_eq!(fs::read_to_string(home.path("pipeline.toml")).unwrap(), theirs);
}

#[test]
fn a_training_is_started_with_other_parameters_and_compared() {
    let test = "a_training_is_started_with_other_parameters_and_compared";
    let Some(home) = trained(test) else { return };
    let studio = Studio::open(&home);
    let Some(browser) = Browser::of(test, &studio) else { return };
    browser.go(&studio.at("/training"));
    browser.until("document.querySelector('img.grid')?.complete");
    everybody_can_use(&browser, "training");
    // The slider goes back to before the first step.
    browser.script("const slider = document.querySelector('#slider-epoch'); slider.value = 0; slider.dispatchEvent(new Event('input'))");
    browser.until("document.querySelector('img.grid').src.endsWith('epoch=0') && document.querySelector('img.grid').naturalWidth > 0");

    browser.click("#set");
    browser.keys("epochs=three");
    browser.click("#begin [type=submit]");
    browser.until("document.querySelector('#says').textContent.includes('expected a whole number')");
    drop(browser.complaints()); // of what was refused
    browser.script("document.querySelector('#set').value = ''");
    browser.click("#set");
    browser.keys("epochs=3 learning_rate=1e-4");
    browser.click("#begin [type=submit]");
    browser.until("[...document.querySelectorAll('#choose tbody tr')].some((row) => /^0002-/.test(row.cells[1].textContent) && row.cells[2].textContent === 'done')");
    let runs = home.lines(&["runs", "--json"]);
    let metrics = &runs.iter().find(|run| run["id"].as_str().unwrap().starts_with("0002-")).unwrap()["metrics"]["7.Train"];
    assert_eq!(metrics["epoch"], 3);
    // In one go: the list may be made anew at any moment, as long as the training has news.
    browser.script("document.querySelectorAll('#choose [name=of]').forEach((box) => { box.checked = true; }); document.querySelector('#choose').requestSubmit()");
    browser.until("document.querySelectorAll('img.grid').length === 2");
    assert!(browser.text("main").contains("learning_rate=1e-4"));
    everybody_can_use(&browser, "two trainings");
}

#[test]
fn a_place_between_two_seeds_is_drawn_and_saved() {
    let test = "a_place_between_two_seeds_is_drawn_and_saved";
    let Some(home) = trained(test) else { return };
    let studio = Studio::open(&home);
    let Some(browser) = Browser::of(test, &studio) else { return };
    browser.go(&studio.at("/latent"));
    browser.until("document.querySelector('#shown').naturalWidth === 64 && document.querySelectorAll('#directions input').length === 12");
    everybody_can_use(&browser, "the latent explorer");
    let slide = |css: &str, value: &str| {
        let script = format!(
            "const input = document.querySelector({css:?}); input.value = {value:?}; input.dispatchEvent(new Event('input', {{ bubbles: true }}))"
        );
        browser.script(&script);
    };
    let shown = || browser.script("return document.querySelector('#shown').src");
    let first = shown();
    slide("#truncation", "1.5");
    slide("#directions input", "8");
    slide("#way", "0.5");
    browser.until("document.querySelector('#recipe').textContent === '50 % of the way from seed 1 to seed 2'");
    assert_ne!(shown(), first);
    // The same place is the same picture.
    slide("#truncation", "1");
    slide("#directions input", "0");
    slide("#way", "0");
    browser.until(&format!("document.querySelector('#shown').src === {first}"));
    browser.click("#with-nearest");
    browser.until("!document.querySelector('#near').hidden && document.querySelector('#near-shown').naturalWidth === 64");
    browser.click("#save");
    browser.until("document.querySelector('#saved').textContent.startsWith('Saved as runs/')");
    let saved = browser.text("#saved").replace("Saved as ", "");
    assert!(fs::read(home.path(&saved)).unwrap().starts_with(b"\x89PNG") && saved.ends_with("seed-1.png"), "{saved}");
    everybody_can_use(&browser, "the latent explorer with a neighbour");
}

#[test]
fn a_convolution_is_built_cell_by_cell() {
    let test = "a_convolution_is_built_cell_by_cell";
    let Some(home) = trained(test) else { return };
    let studio = Studio::open(&home);
    let Some(browser) = Browser::of(test, &studio) else { return };
    browser.go(&studio.at("/draws"));
    browser.until("document.querySelectorAll('#channels img').length > 0 && document.querySelectorAll('#field td').length === 49");
    everybody_can_use(&browser, "how it draws");
    let field = || {
        browser.script("return [...document.querySelector('#field').rows].map((row) => [...row.cells].map((cell) => cell.textContent).join(' ')).join('\\n')")
    };
    assert_eq!(field(), ["0 0 0 0 0 0 0"; 7].join("\n"));
    for _ in 0..2 {
        browser.click("#after");
    }
    // 1 times the kernel, then 2 times it two to the right: they share a column.
    assert_eq!(field(), "1 2 3 4 2 0 0\n0 1 0 2 0 0 0\n−1 −2 −3 −4 −2 0 0\n0 0 0 0 0 0 0\n0 0 0 0 0 0 0\n0 0 0 0 0 0 0\n0 0 0 0 0 0 0");
    // Padding that takes everything is a sentence, not a broken page.
    browser.script(
        "const input = document.querySelector('#padding'); input.value = 4; input.dispatchEvent(new Event('input', { bubbles: true }))",
    );
    browser.until("document.querySelector('#mistake').textContent.includes('takes everything away')");
    // Another layer has other maps.
    browser.script("const layer = document.querySelector('#layer'); layer.selectedIndex = layer.options.length - 1; layer.dispatchEvent(new Event('change'))");
    browser.until("document.querySelectorAll('#channels img').length === 3 && document.querySelector('#channels img').naturalWidth === 64");
}
