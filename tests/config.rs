//! The configuration from outside: every file of `tests/configs` against what is expected of it, byte for byte; it
//! knows nothing of how a file is read.
//!
//! `UPDATE_EXPECTED=1 cargo test --test config` writes the expected files anew; read the difference before you
//! commit it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use gatebridge::config::{self, Config, Kind, Report, Severity};

/// The files of a kind, relative to the package, which is the current folder of its tests.
fn files(kind: &str) -> Vec<PathBuf> {
    let folder = Path::new("tests/configs").join(kind);
    let mut files: Vec<PathBuf> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "{} is empty", folder.display());
    files
}

/// Compares with the file beside; the folder of the package is written as `{package}`.
fn assert_expected(file: &Path, actual: &str) {
    let package = std::env::current_dir().unwrap();
    let actual = actual.replace(&package.display().to_string(), "{package}");
    let expected = file.with_extension("expected");
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        fs::write(&expected, &actual).unwrap();
    }
    let wanted = fs::read_to_string(&expected).unwrap_or_default();
    assert!(wanted == actual, "{} differs; it should read:\n{actual}", expected.display());
}

/// What differs from machine to machine, replaced.
fn steady(mut config: Config) -> Config {
    if config.server.threads.get() != 3 {
        config.server.threads = std::num::NonZeroUsize::MIN;
        config.server.temp_dir = "{temporary}".into();
        config.server.name = config.server.name.replace(env!("CARGO_PKG_VERSION"), "{version}");
    }
    config
}

#[test]
fn good_files_mean_what_is_expected() {
    for file in files("good") {
        let (config, report) = config::load(&file).unwrap_or_else(|report| panic!("{report}"));
        assert_eq!(report.errors(), 0);
        assert_expected(&file, &format!("{report}{:#?}\n", steady(config)));
    }
}

#[test]
fn bad_files_are_refused_with_the_expected_report() {
    for file in files("bad") {
        let report = config::load(&file).map(|_| ()).expect_err(&file.display().to_string());
        assert!(report.errors() > 0, "{}", file.display());
        assert_expected(&file, &report.to_string());
    }
}

#[test]
fn every_kind_of_mistake_is_among_the_bad_files() {
    let reports: Vec<Report> = files("bad").iter().filter_map(|file| config::load(file).err()).collect();
    let found: BTreeSet<String> = reports
        .iter()
        .flat_map(Report::diagnostics)
        .map(|diagnostic| format!("{:?}", diagnostic.kind))
        .collect();
    let all = [
        Kind::File,
        Kind::Syntax,
        Kind::Unknown,
        Kind::Missing,
        Kind::Value,
        Kind::Conflict,
        Kind::Dangling,
        Kind::Disk,
        Kind::Unavailable,
    ];
    assert_eq!(found, all.iter().map(|kind| format!("{kind:?}")).collect());
}

#[test]
fn every_mistake_says_what_to_do() {
    for file in files("bad") {
        for diagnostic in config::load(&file).map(|_| ()).unwrap_err().diagnostics() {
            let hinted = diagnostic.kind == Kind::Syntax || diagnostic.hint.is_some();
            assert!(hinted, "{}: no hint for: {}", file.display(), diagnostic.message);
            assert!(!diagnostic.message.ends_with('.'), "{}", diagnostic.message);
        }
    }
}

#[test]
fn a_report_is_the_same_each_time_and_in_the_order_of_the_file() {
    for file in files("bad") {
        let read = || config::load(&file).map(|_| ()).unwrap_err();
        let report = read();
        assert_eq!(report, read());
        let starts: Vec<usize> = report
            .diagnostics()
            .iter()
            .filter_map(|diagnostic| Some(diagnostic.span.as_ref()?.start))
            .collect();
        assert!(starts.is_sorted(), "{}: {starts:?}", file.display());
    }
}

#[test]
fn a_file_cut_anywhere_is_read_without_a_panic() {
    let source = fs::read_to_string("tests/configs/good/everything.toml").unwrap();
    let file = Path::new("tests/configs/good/cut.toml");
    for cut in (0..source.len()).filter(|cut| source.is_char_boundary(*cut)) {
        if let Err(report) = config::parse(file, &source[..cut]) {
            assert!(
                report.to_string().starts_with("error: ") || report.warnings() > 0,
                "cut at {cut}: {report}"
            );
        }
    }
}

proptest::proptest! {
    #[test]
    fn a_file_with_anything_in_it_is_read_without_a_panic(
        at in proptest::collection::vec((proptest::prelude::any::<proptest::sample::Index>(), 0..REPLACEMENTS.len()), 1..6)
    ) {
        let mut source = fs::read_to_string("tests/configs/good/everything.toml").unwrap();
        for (index, replacement) in at {
            let place = source.char_indices().nth(index.index(source.chars().count())).unwrap().0;
            let end = place + source[place..].chars().next().unwrap().len_utf8();
            source.replace_range(place..end, REPLACEMENTS[replacement]);
        }
        if let Err(report) = config::parse(Path::new("tests/configs/good/x.toml"), &source) {
            proptest::prop_assert!(report.errors() > 0, "refused without an error:\n{}", source);
            proptest::prop_assert!(report.to_string().contains("error: "));
        }
    }
}

/// What a slip of the keyboard, or somebody who means harm, may leave in a file.
const REPLACEMENTS: [&str; 16] =
    ["", "\"", "'", "[", "]", "{", "}", "=", "\n", "\t", "\0", "é", "\u{2028}", "\\", "#", "[[route]]"];

#[test]
fn a_missing_file_is_told_apart_from_a_wrong_one() {
    for (path, words) in [("no/such.toml", "there is no such file"), ("tests/configs", "this is a folder")] {
        let report = config::load(Path::new(path)).map(|_| ()).unwrap_err();
        assert!(report.is_unreadable());
        assert!(report.to_string().contains(words), "{report}");
    }
    assert!(
        !config::load(Path::new("tests/configs/bad/empty.toml")).map(|_| ()).unwrap_err().is_unreadable()
    );
}

#[test]
fn equal_text_gives_equal_pools_and_another_setting_another_pool() {
    let read = |source: &str| config::parse(Path::new("tests/configs/good/x.toml"), source).unwrap().0;
    let source = fs::read_to_string("tests/configs/good/design.toml").unwrap();
    let (one, other) = (read(&source), read(&source.replace("workers = 4", "workers = 5")));
    assert_eq!(read(&source), one);
    assert_ne!(one.pool("hello"), other.pool("hello"));
    assert_eq!(one.pool("php"), other.pool("php"));
    assert_eq!(one.routes, other.routes);
}

mod folders {
    use super::*;
    use gatebridge::config::RouteBack;

    /// A folder of its own under the one that cargo gives to tests.
    fn folder(name: &str, parts: &[&str]) -> PathBuf {
        let folder =
            Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("config-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        for part in parts {
            fs::create_dir_all(folder.join(part)).unwrap();
        }
        folder
    }

    fn backs(config: &Config) -> Vec<(String, &RouteBack)> {
        config.routes.iter().map(|route| (route.path.clone(), &route.back)).collect()
    }

    #[test]
    fn cgi_bin_and_public_are_served() {
        let folder = folder("both", &["cgi-bin", "public"]);
        let (config, report) = config::open(Some(&folder)).unwrap();
        assert!(report.is_empty(), "{report}");
        assert_eq!(config.file, None);
        assert_eq!(config.folder, folder);
        assert_eq!(config.listeners.len(), 1);
        assert_eq!(config.listeners[0].address.to_string(), "127.0.0.1:8080");
        let [(cgi_path, RouteBack::Cgi(cgi)), (files_path, RouteBack::Files(files))] = &backs(&config)[..]
        else {
            panic!("{config:?}")
        };
        assert_eq!((cgi_path.as_str(), &cgi.path), ("/cgi-bin/", &folder.join("cgi-bin")));
        assert_eq!((files_path.as_str(), &files.root), ("/", &folder.join("public")));
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn without_public_there_is_an_index() {
        let folder = folder("index", &["cgi-bin"]);
        let (config, _) = config::open(Some(&folder)).unwrap();
        assert!(
            matches!(&backs(&config)[..], [(_, RouteBack::Cgi(_)), (path, RouteBack::Index)] if path == "/")
        );
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn without_cgi_bin_there_are_files_only() {
        let folder = folder("files", &["public"]);
        let (config, _) = config::open(Some(&folder)).unwrap();
        assert!(matches!(&backs(&config)[..], [(path, RouteBack::Files(_))] if path == "/"));
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn an_empty_folder_is_refused_with_what_to_do() {
        let folder = folder("empty", &[]);
        let report = config::open(Some(&folder)).map(|_| ()).unwrap_err();
        assert!(report.is_unreadable());
        assert!(report.to_string().contains("there is nothing to serve in"), "{report}");
        assert!(report.to_string().contains("cgi-bin"), "{report}");
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn the_file_of_a_folder_wins_even_when_it_is_wrong() {
        let folder = folder("file", &["cgi-bin", "public"]);
        let file = folder.join(config::FILE_NAME);
        fs::write(&file, "[[route]]\npath = \"/only\"\nfiles = \"public\"\n").unwrap();
        let (config, _) = config::open(Some(&folder)).unwrap();
        assert_eq!(config.file.as_deref(), Some(file.as_path()));
        assert_eq!(config.routes.len(), 1);
        fs::write(&file, "[[route]\n").unwrap();
        assert!(config::open(Some(&folder)).is_err());
        fs::remove_dir_all(folder).unwrap();
    }
}

#[test]
fn a_warning_is_no_reason_to_refuse() {
    let (_, report) = config::load(Path::new("tests/configs/good/warnings.toml")).unwrap();
    assert_eq!((report.errors(), report.warnings()), (0, 1));
    assert_eq!(report.diagnostics()[0].severity, Severity::Warning);
}

#[test]
fn every_key_of_the_table_is_read() {
    use gatebridge::config::{KeyKind, Only, Table};
    for table in Table::ALL {
        for key in table.keys() {
            // A table of a table is the wrong type for every key.
            let wrong = format!("{} = {{ a = {{ b = 1 }} }}\n", key.name);
            let also = match (table, key.only) {
                (Table::Listen, _) if key.name == "address" => "",
                (Table::Listen, Only::Unix) => "address = \"unix:public/gate.sock\"\n",
                (Table::Listen, _) => "address = \"fd:3\"\n",
                (Table::Pool, Only::Connect) if key.name == "connect" => "speak = \"fastcgi\"\n",
                (Table::Pool, _) if key.name == "command" => "speak = \"fastcgi\"\n",
                (Table::Pool, _) if key.name == "speak" => "connect = [\"app:1\"]\n",
                (Table::Pool, Only::Command) => "speak = \"fastcgi\"\ncommand = [\"programs/worker\"]\n",
                (Table::Pool, _) => "speak = \"fastcgi\"\nconnect = [\"app:1\"]\n",
                (Table::Route, _) if key.name == "path" => "files = \"public\"\n",
                (Table::Route, _) if ["cgi", "pool", "files", "page"].contains(&key.name) => "path = \"/\"\n",
                (Table::Route, Only::StatusPage) => "path = \"/\"\npage = \"status\"\n",
                (Table::Route, Only::ToPool | Only::PoolOrFiles) => "path = \"/\"\npool = \"p\"\n",
                (Table::Route, _) => "path = \"/\"\ncgi = \"cgi-bin\"\n",
                (Table::Workers, Only::Any) if key.name == "max" => "",
                (Table::Workers, _) => "max = 4\n",
                (Table::Server | Table::Log, _) => "",
            };
            let above = match table {
                Table::Workers => "[pool.p]\nspeak = \"scgi\"\ncommand = [\"programs/worker\"]\n",
                _ => "",
            };
            let header = format!("{above}{}", table.header().replace("NAME", "p"));
            let source = format!("{header}\n{also}{wrong}");
            let report =
                config::parse(Path::new("tests/configs/good/x.toml"), &source).map(|_| ()).unwrap_err();
            let at = source.find(&wrong).unwrap();
            let told = report.diagnostics().iter().any(|diagnostic| {
                let inside = diagnostic.span.as_ref().is_some_and(|span| span.start >= at + key.name.len());
                let takes_tables = matches!(key.kind, KeyKind::CountOrTable { .. });
                let is_wrong = matches!(diagnostic.kind, Kind::Value | Kind::Unavailable);
                inside && (is_wrong || takes_tables && diagnostic.kind == Kind::Unknown)
            });
            assert!(told, "{} {}: nobody reads it\n{source}\n{report}", table.header(), key.name);
            if let KeyKind::Count { min, max, .. } | KeyKind::Size { min, max, .. } = key.kind {
                assert!(min < max, "{}", key.name);
            }
        }
    }
}

mod lessons {
    use super::*;
    use gatebridge::config::{Listener, PoolKind, RouteBack};

    fn read(source: &str) -> Result<Config, String> {
        let file = Path::new("tests/configs/good/x.toml");
        config::parse(file, source).map(|(config, _)| config).map_err(|report| report.to_string())
    }

    fn script(rest: &str) -> Result<Config, String> {
        read(&format!("[[route]]\npath = \"/\"\ncgi = \"cgi-bin\"\n{rest}"))
    }

    fn worker(rest: &str) -> Result<Config, String> {
        let route = "[[route]]\npath = \"/\"\npool = \"p\"\nenv = { DOCUMENT_ROOT = \"/srv\" }\n";
        read(&format!("{route}[pool.p]\nspeak = \"fastcgi\"\ncommand = [\"programs/worker\"]\n{rest}"))
    }

    #[test]
    fn lesson_1_no_table_of_variables_takes_http_proxy() {
        for refused in [
            script("env = { HTTP_PROXY = \"x\" }"),
            script("pass_env = [\"HTTP_PROXY\"]"),
            worker("env = { HTTP_PROXY = \"x\" }"),
            worker("pass_env = [\"HTTP_PROXY\"]"),
        ] {
            assert!(refused.unwrap_err().contains("HTTP_PROXY holds what a client sent"));
        }
        assert!(worker("env = { http_proxy = \"x\" }").is_ok());
    }

    #[test]
    fn lesson_3_variables_of_the_request_cannot_be_set_and_nothing_is_inherited() {
        for name in ["SCRIPT_NAME", "SCRIPT_FILENAME", "HTTPS", "REMOTE_ADDR", "LD_PRELOAD", "PATH_INFO"] {
            assert!(script(&format!("env = {{ {name} = \"x\" }}")).is_err(), "{name}");
        }
        let config = script("").unwrap();
        let RouteBack::Cgi(cgi) = &config.routes[0].back else { panic!("{config:?}") };
        assert!(cgi.environment.pass.is_empty() && cgi.environment.set.is_empty());
        assert_eq!(cgi.environment.path, config::defaults::PROGRAM_PATH);
    }

    #[test]
    fn lesson_5_the_end_of_a_script_name_is_ascii() {
        let split = |text: &str| {
            let route = format!("[[route]]\npath = \"/\"\npool = \"p\"\nsplit = \"{text}\"\n");
            read(&format!("{route}[pool.p]\nspeak = \"fastcgi\"\nconnect = [\"app:1\"]\n"))
        };
        assert!(split(".php").is_ok());
        for text in [".ph\u{212a}", ".\u{ff50}hp", "php", ".", "", ".a/b", ".p p"] {
            assert!(split(text).is_err(), "{text}");
        }
    }

    #[test]
    fn lesson_8_values_that_look_like_functions_are_left_out_by_default() {
        assert!(script("").unwrap().routes[0].strip_shellshock);
        assert!(!script("strip_shellshock = false").unwrap().routes[0].strip_shellshock);
    }

    #[test]
    fn lesson_24_a_script_is_ended_in_bounded_time_by_default() {
        let limits = &script("").unwrap().routes[0].limits;
        assert!(limits.first_byte_timeout.is_some() && limits.output_timeout.is_some());
    }

    #[test]
    fn lesson_30_a_slow_client_is_limited_by_default() {
        let config = script("").unwrap();
        let http = &config.listeners[0].http;
        assert!(http.min_body_rate.is_some());
        for limit in [http.head_timeout, http.idle_timeout, http.write_timeout] {
            assert!(!limit.is_zero() && limit <= std::time::Duration::from_secs(60));
        }
    }

    #[test]
    fn lesson_36_nobody_is_a_trusted_proxy_by_default() {
        let listener = Listener::at("127.0.0.1:0".parse().unwrap());
        assert!(listener.trusted_proxies.is_empty() && !listener.trust_unix_peers);
    }

    #[test]
    fn lesson_37_a_unix_socket_is_closed_to_strangers_by_default() {
        assert_eq!(Listener::at("unix:/run/gate.sock".parse().unwrap()).unix_mode, 0o660);
    }

    #[test]
    fn lesson_40_spooled_bodies_are_limited_in_all_by_default() {
        assert_eq!(script("").unwrap().server.max_spool_total, 4 << 30);
    }

    #[test]
    fn lesson_52_variables_of_a_process_and_of_a_route_are_two_tables() {
        let config = worker("env = { MODEL = \"small\" }").unwrap();
        let PoolKind::Started(started) = &config.pools[0].kind else { panic!("{config:?}") };
        assert_eq!(started.environment.set, [("MODEL".to_owned(), "small".to_owned())]);
        assert_eq!(config.routes[0].env, [("DOCUMENT_ROOT".to_owned(), "/srv".to_owned())]);
    }
}
