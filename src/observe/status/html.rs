//! The status as a page for people: it loads nothing, runs nothing, and asks for itself again every few seconds. It does not
//! know who looks at it.

use std::fmt::{self, Display, Write as _};

use super::{
    AddressStatus, Amount, CgiStatus, LastEnding, Limits, PoolStatus, QueueStatus, Status, WorkerStatus,
};
use crate::observe::histogram::{BOUNDS_MS, Spread};

/// Text in which nothing is markup.
struct Escaped<'t>(&'t str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            match character {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                // Nothing may turn the text around or end its line.
                c if c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}') => {
                    write!(f, "{}", c.escape_unicode())?;
                }
                other => f.write_char(other)?,
            }
        }
        Ok(())
    }
}

/// A time as people say it.
struct Time(f64);

impl Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.max(0.0);
        match seconds {
            s if s < 1.0 && s > 0.0 => write!(f, "{:.0} ms", s * 1e3),
            s if s < 10.0 && s.fract() > 0.0 => write!(f, "{s:.1} s"),
            s if s < 120.0 => write!(f, "{s:.0} s"),
            s if s < 7200.0 => write!(f, "{:.0} min", (s / 60.0).floor()),
            s if s < 172_800.0 => write!(f, "{:.0} h", (s / 3600.0).floor()),
            s => write!(f, "{:.0} days", (s / 86_400.0).floor()),
        }
    }
}

/// A size as people say it.
struct Size(u64);

impl Display for Size {
    #[expect(clippy::cast_precision_loss, reason = "rounded to be read")]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut size, mut unit) = (self.0 as f64, 0);
        while size >= 1024.0 && unit < 4 {
            (size, unit) = (size / 1024.0, unit + 1);
        }
        let digits = usize::from(unit > 0 && size < 10.0);
        write!(f, "{size:.digits$} {}", ["B", "KiB", "MiB", "GiB", "TiB"][unit])
    }
}

/// A number with its thousands apart.
struct Number(u64);

impl Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.0.to_string();
        for (at, digit) in digits.char_indices() {
            if at > 0 && (digits.len() - at).is_multiple_of(3) {
                f.write_char('\u{2009}')?;
            }
            f.write_char(digit)?;
        }
        Ok(())
    }
}

/// What is there, or a dash.
struct Known<T>(Option<T>);

impl<T: Display> Display for Known<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(known) => known.fmt(f),
            None => f.write_str("–"),
        }
    }
}

impl Status {
    /// The status as a page for people.
    #[must_use]
    pub fn html(&self) -> String {
        let mut html = String::from(HEAD);
        // Writing to a string cannot fail.
        let _ = self.write(&mut html);
        html
    }

    fn write(&self, html: &mut String) -> fmt::Result {
        let gateway = &self.gateway;
        writeln!(
            html,
            "<header><h1>gatebridge</h1><p>{} · process {} · up for {}</p>\
             <nav><a href=\"?format=json\">JSON</a> · <a href=\"?format=openmetrics\">OpenMetrics</a></nav></header>",
            Escaped(&gateway.version),
            gateway.pid,
            Time(gateway.uptime_s)
        )?;
        self.write_tiles(html)?;
        for pool in &self.pools {
            write_pool(html, pool)?;
        }
        for cgi in &self.cgi {
            write_cgi(html, cgi)?;
        }
        html.push_str(FOOT);
        Ok(())
    }

    fn write_tiles(&self, html: &mut String) -> fmt::Result {
        let (requests, gateway) = (&self.requests, &self.gateway);
        html.push_str("<section class=tiles>");
        let classes: Vec<_> = requests
            .by_status
            .iter()
            .filter(|(_, count)| **count > 0)
            .map(|(class, count)| format!("{class} {}", Number(*count)))
            .collect();
        tile(html, "Requests", &Number(requests.ended), &classes.join(" · "))?;
        tile(html, "Running now", &Number(requests.running), "this one too")?;
        let failed: u64 = requests.failures.values().sum();
        let blames: Vec<_> = requests
            .failures
            .iter()
            .filter(|(_, count)| **count > 0)
            .map(|(blame, count)| format!("{blame} {}", Number(*count)))
            .collect();
        tile(html, "Failed", &Number(failed), &blames.join(" · "))?;
        let received = format!("{} received", Size(requests.bytes_received));
        tile(html, "Sent", &Size(requests.bytes_sent), &received)?;
        let cpu = format!("{} of processor time", Known(gateway.cpu_s.map(Time)));
        tile(html, "Memory", &Known(gateway.memory_bytes.map(Size)), &cpu)?;
        for listener in &self.listeners {
            let of = format!("of {} · {}", Number(listener.max_connections as u64), listener.name);
            tile(html, "Connections", &Number(listener.connections as u64), &of)?;
        }
        html.push_str("</section>\n");
        if requests.took.count() > 0 {
            html.push_str("<section><h2>Time of a request</h2>");
            bars(html, &requests.took)?;
            html.push_str("</section>\n");
        }
        Ok(())
    }
}

fn tile(html: &mut String, title: &str, value: &dyn Display, more: &str) -> fmt::Result {
    write!(html, "<div><h3>{title}</h3><b>{value}</b><small>{}</small></div>", Escaped(more))
}

fn write_pool(html: &mut String, pool: &PoolStatus) -> fmt::Result {
    let what = match &pool.program {
        Some(program) => program.as_str(),
        None => "workers that somebody else runs",
    };
    writeln!(
        html,
        "<section><h2>{} <small>{} · {}</small></h2>",
        Escaped(&pool.name),
        pool.speaks,
        Escaped(what)
    )?;
    match &pool.outage {
        // What is told of the workers' ends says why.
        Some(_) if !pool.last_endings.is_empty() => html.push_str("<p class=bad>No worker can be had.</p>\n"),
        Some(outage) => writeln!(html, "<p class=bad>No worker can be had: {}</p>", Escaped(outage))?,
        None => {}
    }
    write_workers(html, &pool.workers)?;
    write_addresses(html, &pool.addresses)?;
    if pool.program.is_some() {
        write!(html, "<p>{} started", Number(pool.started))?;
        for (reason, count) in pool.endings.iter().filter(|(_, count)| **count > 0) {
            write!(html, " · {} {}", Number(*count), reason.replace('_', " "))?;
        }
        html.push_str("</p>\n");
    }
    write_last_endings(html, &pool.last_endings)?;
    write_queue(html, &pool.queue)?;
    write_limits(html, &pool.limits)?;
    html.push_str("</section>\n");
    Ok(())
}

fn write_workers(html: &mut String, workers: &[WorkerStatus]) -> fmt::Result {
    if workers.is_empty() {
        return Ok(());
    }
    html.push_str(
        "<table><tr><th>Worker<th>Process<th>State<th>For<th>Has now<th>Answered<th>Memory<th>Processor time</tr>\n",
    );
    for worker in workers {
        writeln!(
            html,
            "<tr><td>{}<td>{}<td><i class={state}>{state}</i><td>{}<td>{}<td>{}<td>{}<td>{}</tr>",
            Escaped(&worker.name),
            Known(worker.pid),
            Time(worker.state_s),
            worker.in_flight,
            Number(worker.served),
            Known(worker.memory_bytes.map(Size)),
            Known(worker.cpu_s.map(Time)),
            state = worker.state,
        )?;
    }
    html.push_str("</table>\n");
    Ok(())
}

fn write_addresses(html: &mut String, addresses: &[AddressStatus]) -> fmt::Result {
    if addresses.is_empty() {
        return Ok(());
    }
    html.push_str("<table><tr><th>Address<th>State<th>Has now<th>Was sent</tr>\n");
    for address in addresses {
        let state = match (address.rests, address.in_flight) {
            (true, _) => "resting",
            (false, 0) => "idle",
            (false, _) => "busy",
        };
        let (name, served) = (Escaped(&address.name), Number(address.served));
        writeln!(
            html,
            "<tr><td>{name}<td><i class={state}>{state}</i><td>{}<td>{served}</tr>",
            address.in_flight
        )?;
    }
    html.push_str("</table>\n");
    Ok(())
}

fn write_last_endings(html: &mut String, endings: &[LastEnding]) -> fmt::Result {
    for ending in endings {
        let class = if ending.failures > 0 { "bad" } else { "" };
        write!(
            html,
            "<p class=\"ending {class}\"><b>{}</b> ended with {}",
            Escaped(&ending.worker),
            Escaped(&ending.how)
        )?;
        if ending.failures > 0 {
            write!(html, " · failure {} in a row", ending.failures)?;
        }
        if let Some(rest) = ending.rests_s {
            write!(html, " · the next is started in {}", Time(rest))?;
        }
        html.push_str("</p>\n");
    }
    Ok(())
}

fn write_cgi(html: &mut String, cgi: &CgiStatus) -> fmt::Result {
    let (route, path) = (Escaped(&cgi.route), Escaped(&cgi.path));
    writeln!(html, "<section><h2>{route} <small>a process for each request · {path}</small></h2>")?;
    writeln!(html, "<p><b>{}</b> running</p>", cgi.running)?;
    write_queue(html, &cgi.queue)?;
    write_limits(html, &cgi.limits)?;
    html.push_str("</section>\n");
    Ok(())
}

fn write_queue(html: &mut String, queue: &QueueStatus) -> fmt::Result {
    let (waiting, refused, count) = (queue.waiting, Number(queue.refused), queue.waits.count());
    write!(html, "<p><b>{waiting}</b> waiting · {refused} refused")?;
    if count == 0 {
        html.push_str("</p>\n");
        return Ok(());
    }
    writeln!(html, " · {} had their turn after:</p>", Number(count))?;
    bars(html, &queue.waits)
}

fn write_limits(html: &mut String, limits: &Limits) -> fmt::Result {
    html.push_str("<dl>");
    for (key, amount) in limits {
        write!(html, "<div><dt>{key}<dd>")?;
        match amount {
            Amount::Count(count) => write!(html, "{}", Number(*count))?,
            Amount::Seconds(seconds) => write!(html, "{}", Time(*seconds))?,
            Amount::Bytes(bytes) => write!(html, "{}", Size(*bytes))?,
            Amount::Unlimited => html.push_str("none"),
        }
        html.push_str("</div>");
    }
    html.push_str("</dl>\n");
    Ok(())
}

/// One bar for each bucket, as high as its share of the highest; one that is not empty is always to be seen.
fn bars(html: &mut String, spread: &Spread) -> fmt::Result {
    let highest = spread.counts.iter().copied().max().unwrap_or_default().max(1);
    html.push_str("<div class=bars>");
    for (at, count) in spread.counts.iter().enumerate() {
        let bound = BOUNDS_MS.get(at).or(BOUNDS_MS.last()).copied().unwrap_or_default();
        let sign = if at < BOUNDS_MS.len() { '≤' } else { '>' };
        let bound = if bound < 1000 { format!("{bound} ms") } else { format!("{} s", bound / 1000) };
        let percent = if *count == 0 { 0 } else { (u128::from(*count) * 100 / u128::from(highest)).max(3) };
        write!(
            html,
            "<div><s>{}</s><u style=\"height:calc({percent}% * .6)\"></u><span>{sign} {bound}</span></div>",
            if *count == 0 { String::new() } else { Number(*count).to_string() },
        )?;
    }
    html.push_str("</div>\n");
    Ok(())
}

const HEAD: &str = "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\">\n\
    <meta name=\"viewport\" content=\"width=device-width\"><meta http-equiv=\"refresh\" content=\"5\">\n\
    <meta name=\"color-scheme\" content=\"light dark\"><title>gatebridge: status</title>\n<style>\
    :root{--ink:#1c2430;--dim:#667080;--line:#e3e7ee;--card:#fff;--page:#f4f6f9;--blue:#2563eb;--green:#15803d;--amber:#b45309;--red:#b91c1c}\
    @media(prefers-color-scheme:dark){:root{--ink:#dfe5ee;--dim:#8f9bad;--line:#2b3442;--card:#1a212c;--page:#11161e;\
    --blue:#7aa8ff;--green:#4ade80;--amber:#fbbf24;--red:#f87171}}\
    body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--page);margin:0 auto;max-width:64em;padding:1.5em 1em}\
    header{display:flex;flex-wrap:wrap;align-items:baseline;gap:0 1em}h1{font-size:1.5em;margin:0}\
    p{margin:.5em 0}header p,small,h3,dt,th,footer{color:var(--dim)}nav{margin-left:auto}a{color:var(--blue);text-decoration:none}\
    section{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:1em 1.2em;margin:1em 0;overflow-x:auto}\
    h2{font-size:1.1em;margin:0 0 .5em}h2 small{font-weight:400;margin-left:.5em}h3{font-size:.8em;font-weight:500;margin:0}\
    .tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(9em,1fr));gap:1em}\
    .tiles b{display:block;font-size:1.6em;line-height:1.3}.tiles small{font-size:.8em;overflow-wrap:anywhere}\
    b,td,dd,s{font-variant-numeric:tabular-nums}table{border-collapse:collapse;width:100%}\
    th,td{text-align:right;padding:.3em .6em;border-bottom:1px solid var(--line);white-space:nowrap}th{font-size:.8em;font-weight:500}\
    th:first-child,td:first-child{text-align:left;padding-left:0}\
    i{font-style:normal;color:var(--dim)}i::before{content:\"● \"}.idle{color:var(--green)}.busy{color:var(--blue)}\
    .starting,.retiring,.resting{color:var(--amber)}.killing,.bad{color:var(--red)}\
    .ending{overflow-wrap:anywhere;white-space:normal;border-left:3px solid;padding-left:.8em}\
    .bars{display:flex;gap:4px;height:6.5em;margin-top:.5em;min-width:44em}\
    .bars div{flex:1;display:flex;flex-direction:column;justify-content:flex-end;text-align:center;font-size:.75em;color:var(--dim)}\
    .bars s{text-decoration:none}.bars u{display:block;background:var(--blue);border-radius:3px 3px 0 0;text-decoration:none;flex:none}\
    .bars span{white-space:nowrap;border-top:1px solid var(--line)}\
    dl{display:flex;flex-wrap:wrap;gap:.3em 1.6em;margin:.8em 0 0;font-size:.85em}dl div{display:flex;gap:.4em}dd{margin:0}\
    </style>\n";

const FOOT: &str = "<footer>It tells how things are at this moment, and asks again every 5 seconds. Limits are those of the configuration.</footer>\n";
