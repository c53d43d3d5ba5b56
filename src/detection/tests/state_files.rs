//! State files that cannot be used are refused, and cost nothing.

use std::io::Read;

use super::*;

#[test]
fn a_state_file_that_does_not_fit_is_refused_and_named() {
    let watch_readings = spec("readings");
    let mut operator = DetectionOperator::new(watch_readings.clone());
    operator.assign(3, 1, 0, 0);
    let good = operator.state_file(3).unwrap();
    assert!(StateFile::open(good.as_slice(), &watch_readings, 3).is_ok());
    let refusal =
        |bytes: &[u8], spec: &DetectionSpec, partition| StateFile::open(bytes, spec, partition).err();
    assert_eq!(refusal(b"PK", &watch_readings, 3), Some(StateFileError::Foreign));
    assert_eq!(
        refusal(&good[..40], &watch_readings, 3),
        Some(StateFileError::Torn)
    );
    // Damage after the first record shows when the state is restored.
    let torn = good[..good.len() - 1].to_vec();
    let state_file = StateFile::open(torn.as_slice(), &watch_readings, 3).unwrap();
    assert_eq!(
        DetectionOperator::new(watch_readings.clone()).resume(state_file, 1, 0, 0),
        Err(StateFileError::Torn)
    );
    let mut flipped = good.clone();
    flipped[20] ^= 1;
    assert_eq!(refusal(&flipped, &watch_readings, 3), Some(StateFileError::Torn));
    let mut newer = good.clone();
    newer[7] = 200;
    assert_eq!(
        refusal(&newer, &watch_readings, 3),
        Some(StateFileError::OtherVersion { found: 200 })
    );
    assert_eq!(
        refusal(&good, &spec("windows"), 3),
        Some(StateFileError::OtherSettings)
    );
    let message = refusal(&good, &watch_readings, 2).unwrap().to_string();
    assert_eq!(message, "written for topic usage, partition 3");
}

#[test]
fn a_state_file_takes_no_more_room_than_its_series_may() {
    let full = crowded("readings");
    let mut one = operator(spec("readings"));
    let texts: Vec<String> = (0..4)
        .map(|number| reading(number, &format!("a{number}"), 50.0))
        .collect();
    one.step(&block(&texts, 0, 4));
    let bytes = one.state_file(0).unwrap();
    let state_file = StateFile::open(bytes.as_slice(), &full, 0).unwrap();
    assert_eq!(
        DetectionOperator::new(full.clone()).resume(state_file, 1, 4, 4),
        Err(StateFileError::TooManySeries { limit: 3 })
    );
    // What never ends is read up to the first record that cannot be.
    let header = bytes[..bytes.len() - 9].to_vec();
    for endless in [0_u8, 1, 0xff] {
        let bomb = header.as_slice().chain(std::io::repeat(endless));
        let state_file = StateFile::open(bomb, &spec("readings"), 0).unwrap();
        assert_eq!(
            DetectionOperator::new(spec("readings")).resume(state_file, 1, 4, 4),
            Err(StateFileError::Torn)
        );
    }
    let places = [1, 0, 0, 0]
        .into_iter()
        .chain(crc32fast::hash(&[2]).to_le_bytes())
        .chain([2]);
    let endless = places.collect::<Vec<u8>>().repeat(1_000_000);
    let state_file =
        StateFile::open(header.as_slice().chain(endless.as_slice()), &spec("readings"), 0).unwrap();
    let limit = config_default_series();
    assert_eq!(
        DetectionOperator::new(spec("readings")).resume(state_file, 1, 4, 4),
        Err(StateFileError::TooManySeries { limit })
    );
}

/// The state after these readings.
fn state_after(mut spec: DetectionSpec, texts: &[String]) -> Vec<u8> {
    // A test of its own pins the fingerprints of settings.
    spec.fingerprint = 0x0403_0201;
    let mut operator = operator(spec);
    operator.step(&block(texts, 0, texts.len()));
    operator.state_file(0).unwrap()
}

/// Files of one version have one format. If this fails, the format was changed by accident, or `VERSION` has to be
/// raised.
#[test]
fn the_bytes_of_a_state_file_are_known() {
    // A record of each kind: a series that was forgotten, another, and its open window.
    let texts = [
        reading(0, "b", 50.0),
        reading(200 * DAY_MS, "a", 95.5),
        reading(200 * DAY_MS + 1_000, "a", 95.75),
    ];
    let bytes = state_after(spec_of("windows", "none", "7"), &texts);
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let header = "534753544154450400\
                  23000000ba4db97d000102030405000000757361676500000000030000000000000001e8e3f70504000000";
    let forgotten = "01000000a18e0c3c02";
    let series =
        "26000000d0280859010100000061e8e3f70504000000e8e3f7050400000000000000000000000000000000000000";
    let window = "2e0000006b31af400300e0f705040000000100000002000000000000000000000000e057400000000000f057400000000000e8674000";
    let end = "01000000942b6fd504";
    assert_eq!(hex, [header, forgotten, series, window, end].concat());
}

/// The same of what each detector keeps of a series, after forty readings.
#[test]
fn the_bytes_of_each_detectors_state_are_known() {
    let known = [
        ("adaptive-band", "7"),
        ("isolation-forest", "0.6"),
        ("half-space-trees", "0.6"),
    ];
    let known = known.map(|(detector, threshold)| {
        let bytes = state_after(spec_of("readings", detector, threshold), &texts());
        (detector, bytes.len(), crc32fast::hash(&bytes))
    });
    let expected = [
        ("adaptive-band", 2754, 1_434_508_727),
        ("isolation-forest", 607, 983_712_824),
        ("half-space-trees", 263, 3_825_190_413),
    ];
    assert_eq!(known, expected);
}
