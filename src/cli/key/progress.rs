//! How far a change of protection is: asked for until it ends, and drawn for people. Does not know what was ordered.

use std::io::{self, IsTerminal};
use std::thread::sleep;
use std::time::Duration;

use serde_json::Value;

use super::super::client::Client;
use super::super::output::{Failure, Output, print_aside};

/// Waits until nothing is under way any more, and prints what is true then. On a terminal it shows how far that is. It fails
/// if that is something else than what was `ordered`, of which the answer to the order tells.
pub(super) fn follow(client: &Client, path: &str, ordered: Option<&Value>, output: &Output) -> Result<(), Failure> {
    let drawn = io::stderr().is_terminal() && !output.is_json()?;
    loop {
        let status = client.read(path)?;
        let ended = outcome(&status, ordered);
        if drawn {
            let end = if ended.is_some() { "\n" } else { "" };
            print_aside(&format!("{START_OF_LINE}{}{end}", line(&status)));
        }
        match ended {
            None => sleep(ASK_EVERY),
            Some(Ok(())) => return output.print(&status),
            Some(Err(why)) => {
                output.print(&status)?;
                return Err(Failure::refused(why));
            }
        }
    }
}

/// Whether it ended, and how.
fn outcome(status: &Value, ordered: Option<&Value>) -> Option<Result<(), String>> {
    let as_ordered =
        |ordered: &Value| ["protector", "customer_key", "version"].iter().all(|name| status[*name] == ordered[*name]);
    match status["state"].as_str() {
        Some("active" | "platform") => Some(if ordered.is_none_or(as_ordered) {
            Ok(())
        } else {
            Err("the change was cancelled: the mount is protected as before".to_owned())
        }),
        Some("locked") => {
            let key = status["locked_by"].as_str().unwrap_or("a key");
            Some(Err(format!(
                "the mount is locked without {key}: present it with `coffer key restore`; what is left to do follows then"
            )))
        }
        Some(_) => None,
        None => Some(Err("the server does not say in which state the mount is".to_owned())),
    }
}

/// One line of progress.
fn line(status: &Value) -> String {
    let number = |name: &str| status[name].as_u64().unwrap_or_default();
    let (done, total) = (number("records_done"), number("records_total"));
    let percent = (100 * done.min(total)).checked_div(total).unwrap_or(100);
    let filled = usize::try_from(percent).unwrap_or_default() * BAR_WIDTH / 100;
    let state = status["state"].as_str().unwrap_or_default();
    let bar = format!("{}{}", "#".repeat(filled), ".".repeat(BAR_WIDTH - filled));
    let mut line = format!("{state} [{bar}] {percent}%  {} of {} records", grouped(done), grouped(total));
    if let Some(why) = status["waiting"].as_str() {
        return line + ", waits " + why;
    }
    let rate = number("rate").min(status["rate_limit"].as_u64().unwrap_or(u64::MAX));
    if done < total && rate > 0 {
        line += &format!(", {}/s", grouped(rate));
    }
    match status["eta_seconds"].as_u64().filter(|_| done < total) {
        Some(seconds) => line + ", " + &time_left(seconds),
        None => line,
    }
}

/// A number with its thousands set apart.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let apart = digits.char_indices().map(|(at, digit)| {
        let comma = if at > 0 && (digits.len() - at).is_multiple_of(3) { "," } else { "" };
        format!("{comma}{digit}")
    });
    apart.collect()
}

fn time_left(seconds: u64) -> String {
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds} s left"),
        (0, minutes, seconds) => format!("{minutes} min {seconds} s left"),
        (hours, minutes, _) => format!("{hours} h {minutes} min left"),
    }
}

/// To the start of the line, and what stands there away.
const START_OF_LINE: &str = "\r\x1b[2K";
const BAR_WIDTH: usize = 30;
const ASK_EVERY: Duration = Duration::from_millis(250);

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn progress_is_one_line() {
        let check = |status: &Value, expected: &str| assert_eq!(line(status), expected);
        check(
            &json!({"state": "migrating", "records_done": 45_210, "records_total": 100_000, "rate": 25_300,
                    "rate_limit": null, "eta_seconds": 3, "waiting": null}),
            "migrating [#############.................] 45%  45,210 of 100,000 records, 25,300/s, 3 s left",
        );
        check(
            &json!({"state": "scheduled", "records_done": 0, "records_total": 7, "rate": 0, "waiting": "for resume"}),
            "scheduled [..............................] 0%  0 of 7 records, waits for resume",
        );
        check(
            &json!({"state": "active", "records_done": 7, "records_total": 7, "rate": 9, "eta_seconds": null}),
            "active [##############################] 100%  7 of 7 records",
        );
        check(&json!({"state": "platform"}), "platform [##############################] 100%  0 of 0 records");
        assert_eq!((time_left(62), time_left(7_380)), ("1 min 2 s left".to_owned(), "2 h 3 min left".to_owned()));
        assert_eq!(
            (grouped(999), grouped(1_000), grouped(1_234_567)),
            ("999".into(), "1,000".into(), "1,234,567".into())
        );
    }

    #[test]
    fn a_change_ends_as_ordered_or_fails() {
        let under = |version: u32| json!({"protector": "customer", "customer_key": "acme", "version": version});
        let mut status = under(2);
        for state in ["scheduled", "migrating", "rotating", "removing", "cancelling"] {
            status["state"] = state.into();
            assert_eq!(outcome(&status, Some(&under(2))), None, "{state}");
        }
        for state in ["active", "platform"] {
            status["state"] = state.into();
            assert_eq!(outcome(&status, None), Some(Ok(())));
            assert_eq!(outcome(&status, Some(&under(2))), Some(Ok(())));
            assert!(outcome(&status, Some(&under(1))).unwrap().unwrap_err().contains("cancelled"));
        }
        let locked = outcome(&json!({"state": "locked", "locked_by": "acme@2"}), None).unwrap().unwrap_err();
        assert!(locked.contains("acme@2") && locked.contains("coffer key restore"), "{locked}");
        assert!(outcome(&json!({}), None).unwrap().is_err());
    }
}
