//! A run, started, watched and stopped from the page.

use std::{fs, time::Duration};

use super::{
    browser::Browser,
    home::{Home, SMALL},
    served::Studio,
};

#[test]
fn a_run_is_watched_live_and_stopped_and_gone_on_with() {
    let home = Home::with_cats(SMALL, 60);
    let studio = Studio::open(&home);
    let Some(browser) = Browser::of("a_run_is_watched_live", &studio) else { return };
    assert!(browser.text("#todo").contains("to make"), "{}", browser.text("#todo"));
    // Every count that is ever shown is noted by the page itself.
    browser.script(
        "window.seen = new Set();
         new MutationObserver(() => { const at = document.querySelector('#at').innerText; if (/ of /.test(at)) seen.add(at); })
           .observe(document.body, { subtree: true, childList: true, characterData: true, attributes: true })",
    );
    browser.click("#run");
    browser.until("document.querySelector('#run').disabled");
    browser.until("seen.size >= 3 && document.querySelector('.card.at-work .live progress')?.value > 0");
    let at_work = browser.text(".card.at-work h2");
    assert!(!at_work.is_empty());
    // A page that is opened meanwhile knows of it, and no second run is let in.
    browser.go(&studio.at("/"));
    browser.until("document.querySelector('#run').disabled && / of /.test(document.querySelector('#at').innerText)");
    browser.click("#stop");
    browser.until("!document.querySelector('#run').disabled && document.querySelector('#says').innerText.startsWith('Stopped')");
    let status = |home: &Home| home.lines(&["runs", "--json"]).last().unwrap()["status"].as_str().unwrap().to_owned();
    assert_eq!(status(&home), "stopped");

    browser.script("document.querySelector('#until').value = '6.Photos_64px'");
    browser.click("#run");
    browser.until("!document.querySelector('#run').disabled");
    browser.until("document.querySelector('[data-stage=\"6.Photos_64px\"]').classList.contains('fresh')");
    assert_eq!(status(&home), "done");
    assert_eq!(browser.script("return document.querySelector('[data-stage=Export]').className"), "card pending");
    let made = home.lines(&["inspect", "6.Photos_64px", "--json"]).len();
    assert!(made > 60 && browser.text("[data-stage=\"6.Photos_64px\"]").contains(&made.to_string()), "{made}");
    browser.until("document.querySelectorAll('.strip img').length >= 30");
    assert_eq!(browser.complaints(), [""; 0]);
}

#[test]
fn ctrl_c_ends_the_studio_and_its_run_which_goes_on_later() {
    let home = Home::with_cats(SMALL, 60);
    let mut studio = Studio::open(&home);
    let Some(browser) = Browser::of("ctrl_c_ends_the_studio_and_its_run", &studio) else { return };
    browser.click("#run");
    browser.until("document.querySelector('.card.at-work .live progress')?.value > 0");
    assert_eq!(studio.interrupt(Duration::from_secs(60)), Some(0), "the studio did not end");
    // Nobody works there any more, and what was begun was ended in order.
    let last = home.lines(&["runs", "--json"]).pop().unwrap();
    assert_eq!(last["status"], "stopped");
    home.ok(&["run", "--no-wait", "--until", "1.No_duplicates"]);
    browser.until("document.querySelector('#says').innerText.includes('start it again')");
}

#[test]
fn a_workspace_without_photos_and_a_pipeline_with_a_mistake_say_what_to_do() {
    let home = Home::new(SMALL);
    let studio = Studio::open(&home);
    let Some(browser) = Browser::of("empty and broken workspaces", &studio) else { return };
    assert!(browser.text("main").contains("Put some into data/0.ORIGINAL"), "{}", browser.text("main"));
    for (path, words) in [("/review", "never ran"), ("/duplicates", "never ran"), ("/gallery", "never ran")] {
        browser.go(&studio.at(path));
        assert!(browser.text("main").contains(words), "{path}: {}", browser.text("main"));
    }
    fs::write(home.path("pipeline.toml"), SMALL.replace("use = \"verify\"", "use = \"verifie\"")).unwrap();
    for path in ["/", "/review", "/gallery"] {
        browser.go(&studio.at(path));
        let said = browser.text("main");
        assert!(said.contains("verifie") && said.contains("pipeline.toml"), "{path}: {said}");
    }
    fs::write(home.path("pipeline.toml"), SMALL).unwrap();
    browser.go(&studio.at("/"));
    assert!(browser.text("main").contains("Put some"), "it has to be started again after a mistake");
}
