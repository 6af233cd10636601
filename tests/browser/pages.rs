//! Every page: it opens, nothing complains, and everybody can use it.

use super::{
    browser::{Browser, Look},
    home::{Home, SMALL},
    served::Studio,
};

/// The address of every page in a workspace that has run up to `4.Verified`, with the name under which it is shown in `docs/studio`.
fn pages(browser: &Browser) -> Vec<(&'static str, String)> {
    browser.until("document.querySelector('main')");
    let picture = browser.script_then(
        "fetch('/items.json?stage=4.Verified&count=1').then((answer) => answer.json()).then((list) => done(encodeURIComponent(list.items[0].name)))",
    );
    let mut pages: Vec<(&str, String)> = ["flow /", "gallery /gallery?stage=4.Verified", "duplicates /duplicates", "review /review"]
        .iter()
        .map(|page| page.split_once(' ').unwrap())
        .map(|(name, path)| (name, path.to_owned()))
        .collect();
    pages.push(("picture", format!("/picture?stage=4.Verified&name={}", picture.as_str().unwrap())));
    pages
}

#[test]
fn everybody_can_use_every_page() {
    let test = "everybody_can_use_every_page";
    let home = Home::with_cats(SMALL, 6);
    home.ok(&["run", "--until", "4.Verified"]);
    let studio = Studio::open(&home);
    let Some(browser) = Browser::of(test, &studio) else { return };
    for (name, path) in pages(&browser) {
        for look in [Look::DESKTOP, Look::DESKTOP.dark(), Look::PHONE, Look::ZOOMED] {
            browser.look(look);
            browser.go(&studio.at(&path));
            browser.until("document.readyState === 'complete'");
            browser.until("[...document.images].every((image) => image.complete)");
            assert_eq!(browser.complaints(), [""; 0], "{name}");
            let wide = browser.script("return document.documentElement.scrollWidth - innerWidth");
            assert!(wide.as_i64().unwrap() <= 0, "{name} at {} pixels is {wide} too wide", look.width);
            let Some(found) = browser.axe() else { continue };
            assert!(found.is_empty(), "{name}, {look:?}:\n{}", found.join("\n"));
        }
    }
}
