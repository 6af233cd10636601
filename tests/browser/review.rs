//! Review by keyboard, and what the next run makes of it.

use std::fs;

use fantoccini::key::Key;

use super::{
    browser::Browser,
    home::{Home, SMALL},
    served::Studio,
};

#[test]
fn twenty_photos_are_reviewed_by_keyboard_and_the_next_run_obeys() {
    let home = Home::with_cats(SMALL, 20);
    home.ok(&["run", "--until", "4.Verified"]);
    let studio = Studio::open(&home);
    let Some(browser) = Browser::of("review by keyboard", &studio) else { return };
    browser.go(&studio.at("/review"));
    browser.until("document.querySelector('#shown').complete && document.querySelector('#name').innerText");
    let total: usize = browser.script("return document.querySelector('#left').dataset.total").as_str().unwrap().parse().unwrap();
    assert!(total >= 20, "{total}");
    let file = home.path("data/decisions.jsonl");
    let decisions = || -> Vec<serde_json::Value> {
        let text = fs::read_to_string(&file).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let shown = || browser.script("return document.querySelector('#shown').src").as_str().unwrap().to_owned();
    let mut rejected = Vec::new();
    let began = std::time::Instant::now();
    for nth in 0..20 {
        let (before, name) = (shown(), browser.text("#name"));
        let reject = nth % 4 == 1;
        browser.keys(if reject { "x" } else { "k" });
        // The decision is on the disk before the next picture shows.
        browser.until(&format!("document.querySelector('#shown').src !== {before:?} || document.querySelector('#decision').innerText"));
        assert_eq!(decisions().len(), nth + 1, "after {name}");
        if reject {
            rejected.push(name);
        }
    }
    // Every key waits for the picture and looks into the file, so a person is faster; the issue is that nothing takes longer than looking.
    println!("{:.0} decisions a minute", 20.0 * 60.0 / began.elapsed().as_secs_f64());
    assert_eq!(rejected.len(), 5);
    assert!(browser.text("#left").contains(&format!("{} left", total - 20)), "{}", browser.text("#left"));

    // Undo takes the last decision back and shows its picture again.
    browser.keys("u");
    browser.until(&format!("document.querySelector('#left').innerText.includes('{} left')", total - 19));
    assert_eq!(decisions().last().unwrap()["decision"], "undo");
    browser.keys("k");
    browser.until(&format!("document.querySelector('#left').innerText.includes('{} left')", total - 20));

    // It resumes where it was.
    browser.go(&studio.at("/"));
    browser.go(&studio.at("/review"));
    browser.until(&format!("document.querySelector('#left').innerText.includes('{} left')", total - 20));
    if total > 20 {
        assert_eq!(browser.text("#decision"), "");
    }
    browser.key(Key::Left);
    assert_eq!(browser.complaints(), [""; 0]);

    // The next run, from the studio's own button.
    browser.go(&studio.at("/"));
    browser.click("#run");
    browser.until("document.querySelector('#run').disabled === false && document.querySelector('#at').innerText === ''");
    let listed = home.lines(&["verify", "list", "--json"]);
    let stopped: Vec<&str> = listed.iter().filter(|line| line["goes_on"] == false).map(|line| line["name"].as_str().unwrap()).collect();
    rejected.sort();
    assert_eq!(stopped, rejected);
    for name in &rejected {
        assert!(!home.path("data/4.Verified").join(name).exists(), "{name} is still there");
    }
}
