//! Every kind of back, each with the same application of the fixtures behind it; must not know what it is asked.

use super::{Folder, Gateway, Peer, Record, fixture};

/// A kind of back, and who starts its program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Back {
    /// A process per request.
    Cgi,
    /// A FastCGI worker that somebody else runs.
    FastCgiExternal,
    /// A FastCGI worker that the gateway starts.
    FastCgiStarted,
    /// An SCGI worker that somebody else runs.
    ScgiExternal,
    /// An SCGI worker that the gateway starts.
    ScgiStarted,
}

/// All of them.
pub const EVERY_BACK: [Back; 5] =
    [Back::Cgi, Back::FastCgiExternal, Back::FastCgiStarted, Back::ScgiExternal, Back::ScgiStarted];

/// Those with workers.
pub const EVERY_WORKER: [Back; 4] =
    [Back::FastCgiExternal, Back::FastCgiStarted, Back::ScgiExternal, Back::ScgiStarted];

impl Back {
    /// Its name: that of its pool, and the first label of its host.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cgi => "cgi",
            Self::FastCgiExternal => "fastcgi-external",
            Self::FastCgiStarted => "fastcgi-started",
            Self::ScgiExternal => "scgi-external",
            Self::ScgiStarted => "scgi-started",
        }
    }

    /// The host whose `/app` it answers, see [`Backs`].
    pub fn host(self) -> String {
        format!("{}.test", self.name())
    }

    /// The program of the fixtures that answers the questions there.
    pub fn program(self) -> String {
        fixture(match self {
            Self::Cgi => "questions-cgi",
            Self::FastCgiExternal | Self::FastCgiStarted => "fastcgi-worker",
            Self::ScgiExternal | Self::ScgiStarted => "scgi-worker",
        })
    }

    const fn is_external(self) -> bool {
        matches!(self, Self::FastCgiExternal | Self::ScgiExternal)
    }

    const fn speaks(self) -> &'static str {
        match self {
            Self::FastCgiExternal | Self::FastCgiStarted => "fastcgi",
            _ => "scgi",
        }
    }
}

/// What is not as usual.
#[derive(Debug, Clone, Copy, Default)]
pub struct Setup<'a> {
    /// More lines of each route.
    pub route: &'a str,
    /// More lines of each pool.
    pub pool: &'a str,
    /// More options of the workers.
    pub options: &'a [&'a str],
    /// Tables beside those of the backs: listeners, other routes.
    pub more: &'a str,
}

/// A gateway with some backs, each at `/app` of a host of its own, so that nothing else tells them apart.
#[derive(Debug)]
pub struct Backs {
    /// The gateway; declared first, so that it ends before the workers.
    pub gateway: Gateway,
    records: Vec<(Back, Record)>,
    peers: Vec<(Back, Peer)>,
    /// Where everything lies.
    pub folder: Folder,
}

impl Backs {
    /// These backs, as usual.
    pub fn new(backs: &[Back]) -> Self {
        Self::with(backs, Setup::default())
    }

    /// These backs with such a setup.
    pub fn with(backs: &[Back], setup: Setup<'_>) -> Self {
        let folder = Folder::new();
        let (mut config, mut records, mut peers) = (setup.more.to_owned(), Vec::new(), Vec::new());
        for &back in backs {
            let name = back.name();
            let record = Record::new(&folder, &format!("record-{name}"));
            config += &table_of(back, &setup, &record, &folder);
            if back.is_external() {
                let address = format!("unix:{}", folder.join(name).display());
                let mut command = std::process::Command::new(back.program());
                command.args(["--listen", &address]).arg("--record").arg(record.path()).args(setup.options);
                peers.push((back, Peer::start_at(command, &address)));
            }
            records.push((back, record));
        }
        let gateway = Gateway::start(&folder, &config);
        Self { gateway, records, peers, folder }
    }

    /// What the program of this back tells.
    pub fn record(&self, back: Back) -> &Record {
        &self.records.iter().find(|(other, _)| *other == back).unwrap().1
    }

    /// The worker of an external back.
    pub fn peer(&self, back: Back) -> &Peer {
        &self.peers.iter().find(|(other, _)| *other == back).unwrap().1
    }

    /// Asks a back for a path below its `/app`.
    pub fn ask(
        &self,
        back: Back,
        method: &str,
        path: &str,
        fields: &[(&str, &str)],
        body: &[u8],
    ) -> super::Answer {
        let host = back.host();
        let fields: Vec<_> = [("Host", host.as_str())].iter().chain(fields).copied().collect();
        self.gateway.ask(method, &format!("/app{path}"), &fields, body)
    }

    /// Fails when a worker found that the gateway broke its protocol.
    ///
    /// # Panics
    /// Then, with what it said.
    pub fn assert_sound(&self) {
        for (back, record) in &self.records {
            let unsound = record.events.matching("unsound");
            assert!(unsound.is_empty(), "{back:?}: {unsound:?}");
        }
    }
}

/// These lines of a pool, and the time to wait for its workers where they do not say it: how fast an interpreter starts
/// is not what is tested.
pub fn patient(pool: &str, is_started: bool) -> String {
    let mut lines = pool.to_owned();
    for (key, is_known) in [("queue_timeout", true), ("start_timeout", is_started)] {
        if is_known && !pool.contains(key) {
            lines += &format!("\n{key} = \"1h\"");
        }
    }
    lines
}

fn table_of(back: Back, setup: &Setup<'_>, record: &Record, folder: &Folder) -> String {
    let (name, host, program) = (back.name(), back.host(), back.program());
    let (record, options) =
        (record.path().display(), setup.options.iter().map(|option| format!(", {option:?}")));
    let options: String = options.collect();
    let route = format!("[[route]]\nhost = {host:?}\npath = \"/app\"\n{}\n", setup.route);
    if back == Back::Cgi {
        return format!("{route}cgi = {program:?}\nenv = {{ RECORD = \"{record}\" }}\n");
    }
    let (speaks, more) = (back.speaks(), patient(setup.pool, !back.is_external()));
    let workers = if back.is_external() {
        format!("connect = [\"unix:{}\"]", folder.join(name).display())
    } else {
        format!("command = [{program:?}, \"--record\", \"{record}\"{options}]")
    };
    format!("[pool.{name}]\nspeak = {speaks:?}\n{workers}\n{more}\n{route}pool = {name:?}\n")
}
