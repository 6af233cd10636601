//! The studio in a real browser: headless Chromium, driven through WebDriver.
//!
//! Needs Debian's `chromium` and `chromium-driver`, and axe-core for what everybody should be able to use (`make browser` gets all
//! three). What is missing is said: `skipped: …`.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails, and its helpers with it")]

mod browser;
mod duplicates;
mod gallery;
#[path = "../it/home.rs"]
#[expect(dead_code, reason = "the other test binary uses the rest of it")]
mod home;
mod live;
mod pages;
mod play;
mod review;
#[path = "../it/served.rs"]
#[expect(dead_code, reason = "the other test binary uses the rest of it")]
mod served;
