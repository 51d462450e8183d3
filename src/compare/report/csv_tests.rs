//! The CSV of invented comparisons, to the byte.

use super::csv::{HEADER, csv};
use crate::compare::findings::{Contestant, FailureKind, Failures, Mode};
use crate::compare::testing::{findings, pair};

#[test]
fn rows_are_what_they_always_were() {
    let mut one = pair().remove(1);
    one.throughput.truncate(1);
    one.errors = vec![Failures { kind: FailureKind::TimeOut, count: 2, example: "no answer".into() }];
    let expected = "\
contestant,mode,program,metric,unit,clients,round,value
hello FastCGI,fastcgi,hello,start_up_exec,us,,1,176.4
hello FastCGI,fastcgi,hello,start_up_exec,us,,2,180
hello FastCGI,fastcgi,hello,start_up_exec,us,,3,187.2
hello FastCGI,fastcgi,hello,start_up_program,us,,1,1058.4
hello FastCGI,fastcgi,hello,start_up_program,us,,2,1080
hello FastCGI,fastcgi,hello,start_up_program,us,,3,1123.2
hello FastCGI,fastcgi,hello,start_up_first_response,us,,1,529.2
hello FastCGI,fastcgi,hello,start_up_first_response,us,,2,540
hello FastCGI,fastcgi,hello,start_up_first_response,us,,3,561.6
hello FastCGI,fastcgi,hello,start_up_total,us,,1,1764
hello FastCGI,fastcgi,hello,start_up_total,us,,2,1800
hello FastCGI,fastcgi,hello,start_up_total,us,,3,1872
hello FastCGI,fastcgi,hello,latency_requests,requests,,,24000
hello FastCGI,fastcgi,hello,latency_min,us,,,60
hello FastCGI,fastcgi,hello,latency_p50,us,,,100
hello FastCGI,fastcgi,hello,latency_p90,us,,,180.472
hello FastCGI,fastcgi,hello,latency_p99,us,,,295.601
hello FastCGI,fastcgi,hello,latency_p99_9,us,,,410.73
hello FastCGI,fastcgi,hello,latency_max,us,,,1000
hello FastCGI,fastcgi,hello,latency_p50,us,,1,98
hello FastCGI,fastcgi,hello,latency_p50,us,,2,100
hello FastCGI,fastcgi,hello,latency_p50,us,,3,104
hello FastCGI,fastcgi,hello,throughput,requests/s,1,1,8820
hello FastCGI,fastcgi,hello,throughput,requests/s,1,2,9000
hello FastCGI,fastcgi,hello,throughput,requests/s,1,3,9360
hello FastCGI,fastcgi,hello,cpu_gateway_user,us/request,,1,3.92
hello FastCGI,fastcgi,hello,cpu_gateway_user,us/request,,2,4
hello FastCGI,fastcgi,hello,cpu_gateway_user,us/request,,3,4.16
hello FastCGI,fastcgi,hello,cpu_gateway_system,us/request,,1,13.72
hello FastCGI,fastcgi,hello,cpu_gateway_system,us/request,,2,14
hello FastCGI,fastcgi,hello,cpu_gateway_system,us/request,,3,14.56
hello FastCGI,fastcgi,hello,cpu_program_user,us/request,,1,29.4
hello FastCGI,fastcgi,hello,cpu_program_user,us/request,,2,30
hello FastCGI,fastcgi,hello,cpu_program_user,us/request,,3,31.2
hello FastCGI,fastcgi,hello,cpu_program_system,us/request,,1,39.2
hello FastCGI,fastcgi,hello,cpu_program_system,us/request,,2,40
hello FastCGI,fastcgi,hello,cpu_program_system,us/request,,3,41.6
hello FastCGI,fastcgi,hello,memory_gateway,bytes,,,9437184
hello FastCGI,fastcgi,hello,memory_program,bytes,,,3145728
hello FastCGI,fastcgi,hello,program_processes,processes,,,4
hello FastCGI,fastcgi,hello,errors_time_out,requests,,,2
";
    assert_eq!(csv(&findings(vec![one])).replace("\r\n", "\n"), expected);
}

#[test]
fn every_metric_is_documented() {
    let known = include_str!("../../../docs/compare.md");
    assert!(known.contains(HEADER));
    let text = csv(&findings(pair()));
    let metrics: Vec<&str> = text.lines().skip(1).filter_map(|line| line.split(',').nth(3)).collect();
    assert!(metrics.len() > 60);
    for metric in metrics {
        assert!(known.contains(&format!("`{metric}`")), "docs/compare.md: no {metric}");
    }
}

#[test]
fn a_hostile_name_stays_in_its_field() {
    let contestant = Contestant::new("=cmd|' /C calc'!A0,\"\r\n\x1b[2J", Mode::Cgi, "a,b", "x");
    let mut findings = findings(vec![contestant]);
    findings.contestants[0].memory.gateway_bytes = Some(1);
    let expected = "contestant,mode,program,metric,unit,clients,round,value\r\n\
        \"'=cmd|' /C calc'!A0,\"\"\\u{d}\\u{a}\\u{1b}[2J\",cgi,\"a,b\",memory_gateway,bytes,,,1\r\n";
    assert_eq!(csv(&findings), expected);
}
