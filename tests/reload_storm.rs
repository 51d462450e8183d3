//! Reloads while clients ask: none of them may notice. It must not know how a reload is made.

mod common;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use common::{Folder, Gateway};

/// Each number gives a configuration whose listener differs from the one before, so that its front is replaced.
fn config(number: usize) -> String {
    let address = "127.0.0.1:0";
    format!(
        "[[listen]]\naddress = \"{address}\"\nidle_timeout = \"{}s\"\n\n[[route]]\npath = \"/\"\nfiles = \"public\"\n",
        60 + number
    )
}

fn site() -> (Folder, Gateway) {
    let folder = Folder::new();
    folder.write("public/index.html", "welcome\n");
    let gateway = Gateway::start(&folder, &config(0));
    (folder, gateway)
}

/// Sends HUP with the next configuration and waits until that is in force.
fn reload(gateway: &Gateway, number: usize) {
    let told = || gateway.stderr.all().iter().filter(|line| line.trim() == "ready").count();
    let before = told();
    gateway.reload(&config(number));
    common::eventually("the reload to be announced", || (told() > before).then_some(()));
}

#[test]
fn a_client_that_has_just_connected_is_answered_after_its_listener_was_replaced() {
    let (_folder, gateway) = site();
    let mut fresh = gateway.connect();
    // Connections are accepted in their order, so the first one has been when the second is answered.
    gateway.get("/").expect(200);
    reload(&gateway, 1);
    fresh.ask("GET", "/", &[], b"").expect(200);
}

#[test]
fn fifty_reloads_under_load_fail_no_request() {
    let (_folder, gateway) = site();
    let is_over = AtomicBool::new(false);
    let answered = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    gateway.get("/").expect(200);
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for number in 1..=50 {
            reload(&gateway, number);
        }
        is_over.store(true, Ordering::Relaxed);
    });
    assert!(answered.load(Ordering::Relaxed) > 50, "too few requests to show anything");
}
