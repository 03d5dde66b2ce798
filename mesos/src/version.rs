//! Which Mesos this is, and when and from what it was built: what `/version` says.

use serde_json::{Value, json};

use crate::text;

/// The version behind a mark by which it is found in a binary: a test of upgrades makes a second build of a copy.
static LABEL: [u8; 20] = *b"mesos-version=1.11.0";

/// The version of the protocol that is spoken, in digits and dots: clients compare it with
/// upstream's versions and choose features by it.
#[must_use]
pub fn version() -> &'static str {
    // Read where it stands, not taken for known while compiling.
    let label = std::str::from_utf8(std::hint::black_box(&LABEL)).unwrap_or_default();
    label.split_once('=').map_or("", |(_, version)| version)
}

/// What is known about the build.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BuildInfo {
    /// [`version`].
    pub version: &'static str,
    /// Seconds since 1970 at which the build began.
    pub time: u64,
    /// Who built it; may be empty.
    pub user: &'static str,
    /// The commit, when the build was told (`MESOS_GIT_SHA`).
    pub git_sha: Option<&'static str>,
}

/// This build.
#[must_use]
pub fn build() -> BuildInfo {
    BuildInfo {
        version: version(),
        time: option_env!("MESOS_BUILD_TIME").and_then(text::parse_u64).unwrap_or(0),
        user: option_env!("MESOS_BUILD_USER").unwrap_or_default(),
        git_sha: option_env!("MESOS_GIT_SHA"),
    }
}

impl BuildInfo {
    /// When the build began, for people.
    #[must_use]
    pub fn date(&self) -> String {
        utc(self.time)
    }

    /// The object of `/version`.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut object = json!({
            "build_date": self.date(),
            "build_time": self.time as f64,
            "build_user": self.user,
            "version": self.version,
        });
        if let Some(sha) = self.git_sha {
            object["git_sha"] = sha.into();
        }
        object
    }
}

/// `2026-11-23 21:17:45 UTC`.
fn utc(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil(days);
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02} UTC", rest / 3600, rest / 60 % 60, rest % 60)
}

/// The date of a day counted from 1970-01-01. Counts in years that begin in March, so that the
/// leap day is a year's last.
fn civil(days_since_1970: u64) -> (u64, u64, u64) {
    let days = days_since_1970 + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        assert_eq!(utc(0), "1970-01-01 00:00:00 UTC");
        assert_eq!(utc(951_782_400), "2000-02-29 00:00:00 UTC");
        assert_eq!(utc(1_795_468_665), "2026-11-23 21:17:45 UTC");
    }

    #[test]
    fn the_version_is_digits_and_dots() {
        assert!(version().split('.').all(|part| part.parse::<u32>().is_ok()));
        assert_eq!(build().to_json()["version"], version());
        assert_eq!(version(), "1.11.0");
    }
}
