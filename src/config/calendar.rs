//! The files that `detect.calendar` names: the only settings that lie in files of their own and decide judgments.

use std::path::Path;

use super::Config;
use super::error::SettingError;
use super::settings::Settings;
use crate::detectors::{Holidays, country_names};
use crate::small_file;

const KEY: &str = "detect.calendar";

/// Longer than any list of days.
const LARGEST_KIB: u64 = 1024;

/// Reads the days of the calendar into the settings. Returns what is wrong with it.
pub(super) fn read(config: &mut Config, settings: &Settings) -> Option<SettingError> {
    let mut holidays = Holidays::default();
    for entry in &config.pipeline.detect.calendar {
        if holidays.add_entry(entry) {
            continue;
        }
        let added = text_of(Path::new(entry)).and_then(|text| holidays.add_file(&text));
        if let Err(reason) = added {
            let setting = settings.find(KEY)?;
            return Some(SettingError::Value {
                key: KEY.to_owned(),
                value: entry.clone(),
                origin: setting.origin.clone(),
                reason,
            });
        }
    }
    config.pipeline.detect.holidays = holidays;
    None
}

fn text_of(path: &Path) -> Result<String, String> {
    small_file::read(path, LARGEST_KIB).map_err(|error| {
        let countries: Vec<&str> = country_names().collect();
        format!(
            "cannot read the file: {error}; an entry is a country ({}), a date such as \"2024-12-24\", or a file of dates",
            countries.join(", ")
        )
    })
}

#[cfg(test)]
mod tests {
    use crate::config::{Overrides, load};

    fn loaded(entries: &str) -> Result<u32, String> {
        let overrides = Overrides::default().with("detect.calendar", "--calendar", Some(entries));
        let loaded = load(&overrides, None, []).map_err(|error| error.to_string())?;
        Ok(loaded.config.pipeline.detection_spec().unwrap().fingerprint())
    }

    #[test]
    fn a_calendar_is_of_countries_dates_and_files() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("holidays.txt");
        std::fs::write(&file, "2024-12-24 Christmas Eve\n").unwrap();
        let of_file = loaded(&format!("[{:?}]", file.to_str().unwrap())).unwrap();
        assert_eq!(of_file, loaded(r#"["2024-12-24"]"#).unwrap());
        assert_ne!(of_file, loaded(r#"["2024-12-24", "US"]"#).unwrap());
        assert_ne!(of_file, loaded("[]").unwrap());
        std::fs::write(&file, "24.12.2024\n").unwrap();
        let error = loaded(&format!("[{:?}]", file.to_str().unwrap())).unwrap_err();
        assert!(
            error.contains("detect.calendar") && error.contains("line 1"),
            "{error}"
        );
    }

    #[test]
    fn a_file_that_never_ends_is_refused() {
        let error = loaded(r#"["/dev/zero"]"#).unwrap_err();
        assert!(error.contains("not a regular file"), "{error}");
    }

    #[test]
    fn what_is_neither_a_country_nor_a_date_nor_a_file_is_named() {
        let error = loaded(r#"["GB"]"#).unwrap_err();
        assert!(
            error.contains("detect.calendar") && error.contains("AT, DE, FR, US"),
            "{error}"
        );
    }
}
