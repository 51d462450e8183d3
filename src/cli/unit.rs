//! The text of systemd units for a configuration: as little rights as its programs can do with. It reads no file and knows
//! no command line.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use thiserror::Error;

use crate::config::{AccessLog, CgiKind, Config, ConnectAddress, ListenAddress, PoolKind, RouteBack};

/// So long after the last grace may the rest of a drain take: the access log, the last processes.
const STOP_MARGIN: Duration = Duration::from_secs(15);

/// So long beside the workers' own limit may a start take.
const START_MARGIN: Duration = Duration::from_secs(10);

/// The manager's own limit for a start, below which there is no reason to go.
const MIN_START: Duration = Duration::from_secs(90);

/// Where people live, and where everybody may leave things.
const HOMES: [&str; 3] = ["/home", "/root", "/run/user"];
const TEMPORARY: [&str; 2] = ["/tmp", "/var/tmp"];

/// The name of the sockets when the configuration has none for them.
const SOCKET_NAME: &str = "gatebridge";

/// What a service unit is about.
pub(super) struct Service<'s> {
    pub(super) config: &'s Config,
    /// The absolute path of gatebridge.
    pub(super) program: &'s Path,
    /// The absolute path of the configuration, or of the folder.
    pub(super) place: &'s Path,
    pub(super) user: &'s str,
}

/// A path cannot stand in a unit.
#[derive(Debug, Error)]
#[error("the path {0:?} cannot stand in a unit: it is no UTF-8, or has control characters in it; rename it")]
pub(super) struct PathError(PathBuf);

/// What a configuration needs of the system.
struct Needs {
    /// Every path that is read, run or connected to.
    read: Vec<PathBuf>,
    /// Folders that are written to.
    written: Vec<PathBuf>,
    start: Duration,
    stop: Duration,
    has_low_port: bool,
    takes_sockets: bool,
}

impl Needs {
    fn of(service: &Service<'_>) -> Self {
        let config = service.config;
        let mut needs = Self {
            read: vec![service.program.to_owned(), service.place.to_owned()],
            written: vec![config.server.temp_dir.clone()],
            start: Duration::ZERO,
            stop: Duration::ZERO,
            has_low_port: false,
            takes_sockets: false,
        };
        let parent = |path: &Path| path.parent().unwrap_or(path).to_owned();
        for listener in &config.listeners {
            match &listener.address {
                ListenAddress::Tcp(address) => needs.has_low_port |= (1..1024).contains(&address.port()),
                ListenAddress::Unix(path) => needs.written.push(parent(path)),
                ListenAddress::Named(_) | ListenAddress::Descriptor(_) => needs.takes_sockets = true,
            }
        }
        if let AccessLog::File(path) = &config.log.access {
            needs.written.push(parent(path));
        }
        needs.add_pools(config);
        for route in &config.routes {
            match &route.back {
                RouteBack::Cgi(back) => {
                    let folder =
                        if back.kind == CgiKind::Folder { back.path.clone() } else { parent(&back.path) };
                    needs.read.push(folder);
                    needs.stop = needs.stop.max(back.kill_grace);
                }
                RouteBack::Files(back) => needs.read.push(back.root.clone()),
                RouteBack::Pool(back) => needs.read.extend(back.root.clone()),
                RouteBack::Index | RouteBack::Status(_) => {}
            }
        }
        needs.stop += config.server.grace + STOP_MARGIN;
        needs.start = (needs.start + START_MARGIN).max(MIN_START);
        needs.written.sort();
        needs.written.dedup();
        needs
    }

    fn add_pools(&mut self, config: &Config) {
        for pool in &config.pools {
            match &pool.kind {
                PoolKind::Started(started) => {
                    self.read.extend([started.program.clone(), started.cwd.clone()]);
                    self.stop = self.stop.max(started.stop_grace);
                    self.start = self.start.max(started.start_timeout);
                }
                PoolKind::Connected(connected) => {
                    self.read.extend(connected.addresses.iter().filter_map(|address| match address {
                        ConnectAddress::Unix(path) => Some(path.clone()),
                        _ => None,
                    }));
                }
            }
        }
    }
}

fn is_below(path: &Path, folders: &[&str]) -> bool {
    folders.iter().any(|folder| path.starts_with(folder))
}

/// The service unit.
///
/// # Errors
///
/// A path that cannot be written into one.
pub(super) fn service(service: &Service<'_>) -> Result<String, PathError> {
    let needs = Needs::of(service);
    let exec = format!("{} serve {}", argument(service.program)?, argument(service.place)?);
    let mut unit = String::from(
        "# Printed by `gatebridge systemd`. Save it as /etc/systemd/system/gatebridge.service, then:\n\
         #   systemctl daemon-reload && systemctl enable --now gatebridge\n\n\
         [Unit]\nDescription=gatebridge, HTTP in front of programs\nAfter=network-online.target\n\
         Wants=network-online.target\n",
    );
    if needs.takes_sockets {
        unit += "# The sockets that the configuration takes by \"fd:\".\nRequires=gatebridge.socket\nAfter=gatebridge.socket\n";
    }
    let _ = write!(
        unit,
        "\n[Service]\n\
         # systemd before 253 does not know notify-reload, keeps to notify, and needs this line in addition:\n\
         # ExecReload=/bin/kill -HUP $MAINPID\n\
         Type=notify\nType=notify-reload\nNotifyAccess=main\nExecStart={exec}\nUser={user}\n\
         Restart=on-failure\nRestartSec=1\nWatchdogSec=30\n\
         # As long as the slowest workers may take to be ready (`start_timeout`), and a margin.\n\
         TimeoutStartSec={start}\n\
         # `grace`, the longest `stop_grace` or `kill_grace`, and a margin.\n\
         TimeoutStopSec={stop}\n\
         # TERM goes to gatebridge alone: it lets requests end, and then ends its programs itself.\nKillMode=mixed\n\
         # A program that ran out of memory is replaced; the service goes on.\nOOMPolicy=continue\n\
         LimitNOFILE={descriptors}\n",
        user = service.user,
        start = seconds(needs.start),
        stop = seconds(needs.stop),
        descriptors = descriptors(service.config),
    );
    unit += &rights(&needs)?;
    unit += "\n[Install]\nWantedBy=multi-user.target\n";
    if needs.takes_sockets {
        unit += "Also=gatebridge.socket\n";
    }
    Ok(unit)
}

/// What gatebridge and its programs may do.
fn rights(needs: &Needs) -> Result<String, PathError> {
    let mut lines = String::from(
        "\n# What follows holds for the programs as well. Where one needs more, take a line away, not all of them.\n\
         # No setuid programs (sudo, sendmail):\nNoNewPrivileges=yes\n\
         # Everything is read-only but what is named below; add the folders that programs write to.\nProtectSystem=strict\n",
    );
    let shares_temporary = needs.read.iter().any(|path| is_below(path, &TEMPORARY));
    for path in needs.written.iter().filter(|path| shares_temporary || !is_below(path, &TEMPORARY)) {
        let managed = [("/run", "RuntimeDirectory"), ("/var/log", "LogsDirectory")]
            .into_iter()
            .find_map(|(root, key)| path.strip_prefix(root).ok().map(|name| (key, name)))
            .filter(|(_, name)| *name != Path::new(""));
        let _ = match managed {
            // It is made at the start, and belongs to the user.
            Some((key, name)) => writeln!(lines, "{key}={}", word(name)?),
            None => writeln!(lines, "ReadWritePaths={}", word(path)?),
        };
    }
    lines += if needs.written.iter().any(|path| is_below(path, &HOMES)) {
        "# Something in a home is written to.\nProtectHome=no\n"
    } else if needs.read.iter().any(|path| is_below(path, &HOMES)) {
        "# Something in a home is served.\nProtectHome=read-only\n"
    } else {
        "ProtectHome=yes\n"
    };
    lines += if shares_temporary {
        "# Something that is served, or a socket of somebody else's, is in /tmp.\nPrivateTmp=no\n"
    } else {
        "PrivateTmp=yes\n"
    };
    lines += if needs.has_low_port {
        "# For the port below 1024. Programs have this right as well; a socket unit (--socket) needs none.\n\
         CapabilityBoundingSet=CAP_NET_BIND_SERVICE\nAmbientCapabilities=CAP_NET_BIND_SERVICE\n"
    } else {
        "CapabilityBoundingSet=\n"
    };
    lines += "# No devices but /dev/null and its like; programs that use a GPU need this line gone.\nPrivateDevices=yes\n\
              ProtectKernelTunables=yes\nProtectKernelModules=yes\nProtectKernelLogs=yes\nProtectControlGroups=yes\n\
              ProtectClock=yes\nProtectHostname=yes\nProtectProc=invisible\nRestrictSUIDSGID=yes\nRestrictRealtime=yes\n\
              # Programs that make containers or sandboxes need this line gone.\nRestrictNamespaces=yes\n\
              RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK\nLockPersonality=yes\n\
              SystemCallArchitectures=native\n\
              # Not set, because programs that compile while they run (PHP's JIT, Node, Java) would fail:\n\
              # MemoryDenyWriteExecute=yes\n";
    Ok(lines)
}

/// The socket unit for the addresses of a configuration.
pub(super) fn socket(config: &Config, user: &str) -> String {
    let addresses = config.listeners.iter().map(|listener| &listener.address);
    let name = addresses.clone().find_map(|address| match address {
        ListenAddress::Named(name) => Some(name.as_str()),
        _ => None,
    });
    let streams: Vec<String> = addresses
        .filter_map(|address| match address {
            ListenAddress::Tcp(address) => Some(address.to_string()),
            ListenAddress::Unix(path) => Some(path.display().to_string().replace('%', "%%")),
            _ => None,
        })
        .collect();
    let mut unit = String::from(
        "# Printed by `gatebridge systemd --socket`. Save it as /etc/systemd/system/gatebridge.socket.\n",
    );
    if !streams.is_empty() {
        let _ = writeln!(
            unit,
            "# The configuration must not open these addresses itself: let one [[listen]] in it say\n\
             #   address = \"fd:{}\"\n# which stands for all sockets of this unit.",
            name.unwrap_or(SOCKET_NAME)
        );
    }
    unit += "\n[Unit]\nDescription=gatebridge, its listening sockets\n\n[Socket]\n";
    if streams.is_empty() {
        unit += "# The configuration does not say where: write the address here, one line for each.\n\
                 ListenStream=127.0.0.1:8080\n";
    }
    for stream in &streams {
        let _ = writeln!(unit, "ListenStream={stream}");
    }
    if let Some(listener) =
        config.listeners.iter().find(|listener| matches!(listener.address, ListenAddress::Unix(_)))
    {
        let _ = writeln!(unit, "SocketUser={user}\nSocketMode={:04o}", listener.unix_mode);
    }
    // As gatebridge does, so that an address of IPv4 may have the same port.
    if streams.iter().any(|stream| stream.starts_with('[')) {
        unit += "BindIPv6Only=ipv6-only\n";
    }
    let _ = write!(
        unit,
        "FileDescriptorName={}\nBacklog=4096\nNoDelay=yes\n\n[Install]\nWantedBy=sockets.target\n",
        name.unwrap_or(SOCKET_NAME)
    );
    unit
}

/// Whole seconds, rounded up.
fn seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

/// docs/operations.md, Limits: one for a connection and one for what answers it, four for a CGI process, and room.
fn descriptors(config: &Config) -> usize {
    const LEAST: usize = 65_536;
    const ROOM: usize = 1024;
    let connections: usize = config.listeners.iter().map(|listener| listener.max_connections).sum();
    let processes: usize = config
        .routes
        .iter()
        .map(|route| match &route.back {
            RouteBack::Cgi(back) => back.max_processes,
            _ => 0,
        })
        .sum();
    connections.saturating_mul(2).saturating_add(processes.saturating_mul(4)).saturating_add(ROOM).max(LEAST)
}

/// systemd.syntax(7): a word in quotes, with the specifiers of units taken literally.
fn word(path: &Path) -> Result<String, PathError> {
    let text = path.to_str().filter(|text| !text.contains(char::is_control));
    let text = text.ok_or_else(|| PathError(path.to_owned()))?;
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-+@:,=%$".contains(&byte);
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%");
    Ok(if text.bytes().all(is_plain) { escaped } else { format!("\"{escaped}\"") })
}

/// systemd.service(5), command lines: as a word, with variables taken literally.
fn argument(path: &Path) -> Result<String, PathError> {
    word(path).map(|word| word.replace('$', "$$"))
}
