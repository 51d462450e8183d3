//! Rules of RFC 9110 that concern every answer, whoever made it; it must not know how the gateway keeps them.

#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

mod common;

use common::{Answer, Folder, Gateway};

fn serve(folder: &Folder) -> Gateway {
    folder.script("cgi-bin/hello", "#!/bin/sh\necho Content-Type: text/plain\necho\necho hello\n");
    folder.script("cgi-bin/fails", "#!/bin/sh\nexit 1\n");
    folder.write("public/a.txt", "a file\n");
    let routes = "[[route]]\npath = \"/cgi-bin/\"\ncgi = \"cgi-bin\"\n\
        [[route]]\npath = \"/\"\nfiles = \"public\"\n\
        [[route]]\npath = \"/read\"\ncgi = \"cgi-bin/hello\"\nmethods = [\"GET\", \"HEAD\"]\n";
    Gateway::start(folder, routes)
}

/// Seconds since 1970 of the answer's Date.
fn date(answer: &Answer) -> std::time::SystemTime {
    let dates = answer.head.fields_of("date");
    assert_eq!(dates.len(), 1, "{:?}", answer.head);
    httpdate::parse_http_date(dates[0]).unwrap()
}

#[test]
fn rfc_9110_6_6_1_every_answer_has_a_date() {
    let folder = Folder::new();
    let gateway = serve(&folder);
    let minute = std::time::Duration::from_secs(60);
    for (path, status) in
        [("/cgi-bin/hello", 200), ("/a.txt", 200), ("/none", 404), ("/cgi-bin/fails", 502), ("/%zz", 400)]
    {
        let date = date(&gateway.get(path).expect(status));
        let now = std::time::SystemTime::now();
        assert!(date <= now + minute && date + minute >= now, "{path}: {date:?}");
    }
}

#[test]
fn rfc_9110_15_5_6_a_405_says_what_is_allowed() {
    let folder = Folder::new();
    let gateway = serve(&folder);
    gateway.get("/read").expect(200);
    for (path, allowed) in [("/read", "GET, HEAD"), ("/a.txt", "GET, HEAD")] {
        let answer = gateway.ask("DELETE", path, &[], b"").expect(405);
        assert_eq!(answer.field("allow"), Some(allowed), "{path}");
        gateway.wait_for_line("the route takes only GET, HEAD");
    }
}
