//! Decisions about photos that show the same, and what the next run makes of them.

use std::fs;

use super::{
    browser::Browser,
    home::{Home, SMALL},
    served::Studio,
};

const STAGE: &str = "1.No_duplicates";

#[test]
fn another_photo_is_kept_and_two_are_different_and_all_of_it_is_undone() {
    let home = Home::with_cats(SMALL, 12);
    home.ok(&["run", "--until", STAGE]);
    let groups = || home.lines(&["duplicates", "list", "--json"]);
    let before = groups();
    // A copy that is not byte-equal: about the others there is nothing to decide.
    let group = before.iter().find(|group| group["dropped"].as_array().unwrap().iter().any(|dropped| dropped["digest"] != group["digest"]));
    let group = group.expect("the sample has near-duplicates");
    let kept = group["kept"].as_str().unwrap().to_owned();
    let other = group["dropped"].as_array().unwrap().iter().find(|dropped| dropped["digest"] != group["digest"]).unwrap();
    let (other, digest) = (other["name"].as_str().unwrap().to_owned(), other["digest"].as_str().unwrap().to_owned());
    let is_there = |name: &str| home.path("data").join(STAGE).join(name).exists();
    assert!(is_there(&kept) && !is_there(&other));

    let studio = Studio::open(&home);
    let Some(browser) = Browser::of("duplicate decisions", &studio) else { return };
    let lines = || fs::read_to_string(home.path("data/duplicates.jsonl")).unwrap_or_default().lines().count();
    let run = || {
        browser.go(&studio.at("/"));
        browser.until("!document.querySelector('#run').disabled");
        browser.script(&format!("document.querySelector('#until').value = '{STAGE}'"));
        browser.click("#run");
        browser.until("!document.querySelector('#run').disabled");
        browser.until(&format!("document.querySelector('[data-stage=\"{STAGE}\"]').classList.contains('fresh')"));
    };
    let open = || {
        browser.go(&studio.at("/duplicates"));
        browser.until("[...document.images].every((image) => image.complete && image.naturalWidth > 0 || image.loading === 'lazy')");
    };

    open();
    assert_eq!(browser.script("return document.querySelectorAll('.group').length"), before.len());
    browser.click(&format!("[data-choice=keep][data-digest=\"{digest}\"]"));
    browser.until("document.querySelector('.said')?.innerText.includes('You chose this one')");
    assert_eq!(lines(), 1, "it is on the disk before the page says so");
    assert!(is_there(&kept), "nothing changes before the next run");
    // The flow says why.
    browser.go(&studio.at("/"));
    let card = browser.text(&format!("[data-stage=\"{STAGE}\"]"));
    assert!(card.contains("out of date") && card.contains("decisions"), "{card}");
    run();
    assert!(is_there(&other) && !is_there(&kept));

    // Undo, by key.
    open();
    browser.click(".group [data-choice=undo]");
    browser.until("!document.querySelector('.said')");
    run();
    assert!(is_there(&kept) && !is_there(&other));

    open();
    browser.click(&format!("[data-choice=different][data-other=\"{digest}\"]"));
    browser.until("document.querySelector('.said')?.innerText.includes('different')");
    browser.keys("u");
    browser.until("!document.querySelector('.said')");
    browser.click(&format!("[data-choice=different][data-other=\"{digest}\"]"));
    browser.until("document.querySelector('.said')?.innerText.includes('different')");
    run();
    assert!(is_there(&kept) && is_there(&other), "neither is dropped for the other");
    // What was decided stays listed, and can be taken back when the group is no more.
    open();
    assert!(browser.text(".decided").contains("are different"), "{}", browser.text(".decided"));
    browser.click(".decided [data-choice=undo]");
    browser.until("!document.querySelector('.decided')");
    run();
    assert!(is_there(&kept) && !is_there(&other));
    assert_eq!(groups(), before);
    assert_eq!(browser.complaints(), [""; 0]);
}
