use proptest::prelude::*;

use super::*;

/// A message of the fields that are given as key and contents.
fn delimited(number: u8, contents: &[u8]) -> Vec<u8> {
    let length = u8::try_from(contents.len()).expect("short");
    assert!(length < 128, "one byte");
    [&[number << 3 | 2, length], contents].concat()
}

fn request(metric: &[u8]) -> Vec<u8> {
    delimited(1, &delimited(2, &delimited(2, metric)))
}

fn detail(bytes: &[u8]) -> String {
    let rejection = document(bytes).expect_err("no request");
    assert_eq!(rejection.reason, Reason::InvalidProtobuf);
    rejection.detail
}

#[test]
fn parts_of_a_message_may_lie_apart_and_unknown_fields_are_passed_over() {
    let gauge = |time: u8| {
        let time = [&[3 << 3 | 1][..], &u64::from(time).to_le_bytes()].concat();
        delimited(5, &delimited(1, &time))
    };
    let unknown = [
        &delimited(14, b"x")[..],
        &[13 << 3, 0x80, 1],
        &[13 << 3 | 5, 0, 0, 0, 0],
    ]
    .concat();
    let together = delimited(5, &[&gauge(1)[2..], &gauge(2)[2..]].concat());
    let apart = [gauge(1), unknown, gauge(2)].concat();
    assert_eq!(document(&request(&apart)), document(&request(&together)));
    assert!(is_likely(&request(&apart)));
}

#[test]
fn what_is_wrong_is_named_with_its_place() {
    assert_eq!(
        detail(&request(&[1 << 3 | 2, 9, b'p'])),
        "byte 8: resourceMetrics: scopeMetrics: metrics: name: 9 bytes are announced, and 1 are left"
    );
    assert!(detail(b"{\"resourceMetrics\":[]}").contains("wire type 3"));
    assert!(detail(&request(&[1 << 3, 1])).contains("name is written as another type"));
    assert!(detail(&[0xff; 11]).contains("64 bits"));
    assert!(detail(&[2, 0]).contains("number 0"));
    for other in [
        &b""[..],
        b"{}",
        b"cpu value=1",
        &delimited(1, b""),
        &delimited(1, &delimited(2, b"")),
    ] {
        assert!(!is_likely(other), "{other:?}");
    }
}

#[test]
fn of_fields_that_exclude_each_other_the_last_counts() {
    let double = [&[4 << 3 | 1][..], &1.5_f64.to_le_bytes()].concat();
    let whole = [&[6 << 3 | 1][..], &7_i64.to_le_bytes()].concat();
    let of = |points: &[&[u8]]| request(&delimited(5, &delimited(1, &points.concat())));
    assert_eq!(document(&of(&[&double, &whole])), document(&of(&[&whole])));
    assert_eq!(document(&of(&[&whole, &double])), document(&of(&[&double])));
    let (gauge, sum) = (delimited(5, b""), delimited(7, b""));
    let both = [&gauge[..], &sum, &gauge].concat();
    assert_eq!(document(&request(&both)), document(&request(&gauge)));
}

#[test]
fn values_within_values_end_at_a_depth() {
    // Lengths of up to three bytes in the place of one.
    let long = |number: u8, contents: &[u8]| {
        let length = contents.len();
        let digit = |shift: usize| (length >> shift) as u8 & 0x7f;
        [
            &[number << 3 | 2, digit(0) | 0x80, digit(7) | 0x80, digit(14)],
            contents,
        ]
        .concat()
    };
    let mut value = Vec::new();
    for _ in 0..2_000 {
        value = long(1, &long(5, &value));
    }
    let attribute = long(7, &long(2, &value));
    let message = long(1, &long(2, &long(2, &long(5, &long(1, &attribute)))));
    assert!(message.len() > 16_000);
    assert!(is_likely(&message));
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(
        metric in proptest::collection::vec(any::<u8>(), 0..100),
        at in 0_usize..100,
        byte in any::<u8>(),
    ) {
        let _ = document(&metric);
        let mut request = request(&metric);
        let place = at % request.len();
        request[place] = byte;
        let _ = document(&request);
        request.truncate(place);
        let _ = document(&request);
    }
}
