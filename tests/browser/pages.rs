//! Every page: it opens, nothing complains, and everybody can use it.

use std::{fs, path::PathBuf};

use base64::Engine as _;
use fantoccini::key::Key;
use serde_json::json;

use super::{
    browser::{Browser, Look},
    home::{Home, SMALL},
    served::Studio,
};

/// The address of every page in a workspace that has run at least up to its first `verify` stage, each with its name in `docs/studio`.
fn pages(browser: &Browser) -> Vec<(&'static str, String)> {
    let asked = browser.script_then(
        "fetch('/review.json').then((answer) => answer.json()).then(({ stage }) => fetch(`/items.json?stage=${encodeURIComponent(stage)}&count=500`)
           .then((answer) => answer.json()).then(({ items }) => done([stage, items[Math.min(7, items.length - 1)].name].map(encodeURIComponent))))",
    );
    let [stage, name] = [0, 1].map(|at| asked[at].as_str().unwrap());
    vec![
        ("flow", "/".to_owned()),
        ("gallery", format!("/gallery?stage={stage}")),
        ("picture", format!("/picture?stage={stage}&name={name}")),
        ("duplicates", "/duplicates".to_owned()),
        ("review", "/review".to_owned()),
        ("tuning", format!("/tuning?stage={stage}")),
        ("training", "/training".to_owned()),
        ("game", "/game".to_owned()),
        ("latent", "/latent".to_owned()),
        ("draws", "/draws".to_owned()),
    ]
}

/// Goes to a page and waits until everything on it is there.
fn show(browser: &Browser, studio: &Studio, path: &str) {
    browser.go(&studio.at(path));
    browser.until("document.readyState === 'complete'");
    browser.until("document.querySelectorAll('#grid, #review, .strip[data-of]:empty').length === 0 || document.querySelector('#grid img, #name:not(:empty)')");
    browser.until("!document.querySelector('#tuning') || document.querySelector('.tried, #mistake:not([hidden])')");
    browser.until("!document.querySelector('#conv') || document.querySelector('#field td')");
    browser.until("!document.querySelector('#latent') || document.querySelector('#shown').naturalWidth > 0");
    browser.until("[...document.images].every((image) => image.complete || image.loading === 'lazy')");
}

#[test]
fn everybody_can_use_every_page() {
    let test = "everybody_can_use_every_page";
    // Names as long as those of the shipped pipeline.
    let home = Home::with_cats(&SMALL.replace("4.Verified", "data_without_background/4.Verified"), 12);
    home.ok(&["run", "--until", "4.Verified"]);
    let studio = Studio::open(&home);
    let Some(browser) = Browser::of(test, &studio) else { return };
    for (name, path) in pages(&browser) {
        for look in [Look::DESKTOP, Look::DESKTOP.dark(), Look::PHONE, Look::ZOOMED] {
            browser.look(look);
            show(&browser, &studio, &path);
            assert_eq!(browser.complaints(), [""; 0], "{name}");
            let wide = browser.script("return document.documentElement.scrollWidth - innerWidth");
            assert!(wide.as_i64().unwrap() <= 0, "{name} at {} pixels is {wide} too wide", look.width);
            let Some(found) = browser.axe() else { continue };
            assert!(found.is_empty(), "{name}, {look:?}:\n{}", found.join("\n"));
        }
    }
}

#[test]
fn everything_is_reached_by_the_tab_key() {
    let home = Home::with_cats(SMALL, 6);
    home.ok(&["run", "--until", "4.Verified"]);
    let studio = Studio::open(&home);
    let Some(browser) = Browser::of("everything_is_reached_by_the_tab_key", &studio) else { return };
    for (name, path) in pages(&browser) {
        show(&browser, &studio, &path);
        // What can be pressed or followed, but for pictures by the hundred: their grid has keys of its own.
        let wanted = "a[href], button:not(:disabled), input:not([hidden]), select, summary";
        browser.script(&format!(
            "window.left = new Set([...document.querySelectorAll({wanted:?})].filter((one) => one.checkVisibility() && !one.closest('#grid, .way, .strip')))"
        ));
        browser.key(Key::Tab);
        assert_eq!(browser.script("return document.activeElement.className"), "skip", "{name}: the first is the way past the navigation");
        for _ in 0..120 {
            let seen = browser.script(
                "const here = document.activeElement; left.delete(here);
                 const box = here.getBoundingClientRect();
                 return here === document.body || (box.width > 0 && getComputedStyle(here).outlineStyle !== 'none')",
            );
            assert_eq!(seen, true, "{name}: one does not see where one is: {}", browser.script("return document.activeElement.outerHTML"));
            if browser.script("return left.size") == 0 {
                break;
            }
            browser.key(Key::Tab);
        }
        assert_eq!(browser.script("return [...left].map((one) => one.outerHTML)"), json!([]), "{name}");
    }
    // Past the navigation in two keys.
    show(&browser, &studio, "/review");
    browser.key(Key::Tab);
    browser.key(Key::Enter);
    assert_eq!(browser.script("return document.activeElement.id"), "content");
}

/// Not a test: takes the pictures in `docs/studio`.
///
/// `CATGEN_SCREENSHOTS_OF=WORKSPACE cargo test --test browser -- --ignored screenshots`; `CATGEN_SCREENSHOTS=DIR` puts them elsewhere, with those of a phone and
/// at 200 % besides.
#[test]
#[ignore = "takes the screenshots of the documentation, of a workspace that has run"]
fn screenshots() {
    let workspace = PathBuf::from(std::env::var_os("CATGEN_SCREENSHOTS_OF").expect("CATGEN_SCREENSHOTS_OF names a workspace"));
    let elsewhere = std::env::var_os("CATGEN_SCREENSHOTS").map(PathBuf::from);
    let folder = elsewhere.clone().unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/studio"));
    fs::create_dir_all(&folder).unwrap();
    let studio = Studio::of(&workspace);
    let browser = Browser::of("screenshots", &studio).expect("a browser");
    let mut looks = vec![("light", Look::DESKTOP), ("dark", Look::DESKTOP.dark())];
    if elsewhere.is_some() {
        looks.extend([("phone", Look::PHONE), ("phone-dark", Look::PHONE.dark()), ("zoomed", Look::ZOOMED)]);
    }
    for (name, path) in pages(&browser) {
        for (how, look) in &looks {
            browser.look(*look);
            show(&browser, &studio, &path);
            std::thread::sleep(std::time::Duration::from_millis(700));
            // What was cut away shows on one half.
            if name == "review" && *how == "dark" {
                browser.keys("b");
                browser.until("document.querySelector('#photo').complete && document.querySelector('#photo').naturalWidth > 0");
            }
            let shot = browser.devtools("Page.captureScreenshot", json!({ "format": "webp", "quality": 82 }));
            let bytes = base64::prelude::BASE64_STANDARD.decode(shot["data"].as_str().unwrap()).unwrap();
            fs::write(folder.join(format!("{name}-{how}.webp")), bytes).unwrap();
        }
    }
}
