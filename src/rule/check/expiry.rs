//! How long a credential is of use, as it says itself: signed URLs of the clouds.

use super::{Parameter, Subject, Verdict};
use crate::model::http::offset_in;
use crate::model::text::percent_decode;

/// Bytes of a URL on either side of its signature.
const AROUND: usize = 1024;

/// Whether a moment (seconds since 1970) lies before `now`; where the time of the message is not known, it does not.
pub(super) fn is_over(at: i64, now: Option<i64>) -> bool {
    now.is_some_and(|now| at < now)
}

/// `2026-11-22`; `later` beyond the calendar.
pub(super) fn date(at: i64) -> String {
    match jiff::Timestamp::from_second(at) {
        Ok(moment) => moment.to_string().chars().take(10).collect(),
        Err(_) => "later".to_owned(),
    }
}

/// A signed URL: the parameters around the signature say when it ends. `X-Amz-Date` with `X-Amz-Expires` (AWS SigV4),
/// the same with `X-Goog-`, `Expires` (the older forms of both), `se` (Azure).
pub(super) fn signed_url(subject: &Subject<'_>, _: &Parameter) -> Verdict {
    match end(around(subject)) {
        Some(at) if is_over(at, subject.now) => Verdict::Lower(format!("expired {}", date(at)).into()),
        Some(at) => Verdict::Note(format!("valid until {}", date(at)).into()),
        None => Verdict::Note("it does not say when it expires".into()),
    }
}

/// What stands around a match: the parameters of one URL.
fn around<'a>(subject: &Subject<'a>) -> &'a [u8] {
    let Some(start) = offset_in(subject.value, subject.whole) else { return subject.whole };
    let end = (start + subject.whole.len() + AROUND).min(subject.value.len());
    subject.value.get(start.saturating_sub(AROUND)..end).unwrap_or_default()
}

fn end(url: &[u8]) -> Option<i64> {
    for (begin, length) in
        [(&b"x-amz-date="[..], &b"x-amz-expires="[..]), (b"x-goog-date=", b"x-goog-expires=")]
    {
        if let (Some(begin), Some(length)) = (parameter(url, begin), parameter(url, length)) {
            return Some(moment(&begin)?.saturating_add(length.parse::<u32>().ok()?.into()));
        }
    }
    parameter(url, b"expires=")
        .and_then(|seconds| seconds.parse().ok())
        .or_else(|| parameter(url, b"se=").and_then(|moment_text| moment(&moment_text)))
}

/// The decoded value of a parameter; `name` is in lower case and ends in `=`.
fn parameter(url: &[u8], name: &[u8]) -> Option<String> {
    let start = url.windows(name.len()).enumerate().find_map(|(at, window)| {
        let behind_mark = at.checked_sub(1).and_then(|before| url.get(before));
        (window.eq_ignore_ascii_case(name) && matches!(behind_mark, Some(b'?' | b'&' | b';')))
            .then_some(at + name.len())
    })?;
    let rest = url.get(start..)?;
    let end = rest.iter().position(|byte| b"&#\"'<> \\".contains(byte)).unwrap_or(rest.len());
    let decoded = percent_decode(rest.get(..end)?, false);
    Some(String::from_utf8_lossy(&decoded).into_owned())
}

/// `20261122T052200Z`, `2026-11-22T05:22:00Z`, `2026-11-22`.
fn moment(text: &str) -> Option<i64> {
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    let number = |from: usize, to: usize| digits.get(from..to).map_or(Some(0), |part| part.parse().ok());
    let (year, month, day) = (digits.get(..4)?.parse().ok()?, number(4, 6)?, number(6, 8)?);
    let (hour, minute, second) = (number(8, 10)?, number(10, 12)?, number(12, 14)?);
    let date = jiff::civil::Date::new(year, month, day).ok()?;
    let time = jiff::civil::Time::new(hour, minute, second, 0).ok()?;
    let moment = jiff::tz::Offset::UTC.to_timestamp(date.to_datetime(time)).ok()?;
    Some(moment.as_second())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signed_url_says_when_it_ends() {
        for (url, verdict) in [
            (
                "/b/k?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Date=20261122T052200Z&X-Amz-Expires=3600&X-Amz-Signature=0",
                Verdict::Note("valid until 2026-11-22".into()),
            ),
            (
                "/b/k?x-amz-date=20251122T052200Z&x-amz-expires=60&x-amz-signature=0",
                Verdict::Lower("expired 2025-11-22".into()),
            ),
            (
                "/b/k?X-Goog-Date=20261121T000000Z&X-Goog-Expires=604800&X-Goog-Signature=0",
                Verdict::Note("valid until 2026-11-28".into()),
            ),
            (
                "/b/k?AWSAccessKeyId=A&Expires=1795305599&Signature=0",
                Verdict::Lower("expired 2026-11-21".into()),
            ),
            (
                "/c?sv=2024-11-04&se=2027-01-01T08%3A00%3A00Z&sig=0",
                Verdict::Note("valid until 2027-01-01".into()),
            ),
            ("/c?sv=2024-11-04&se=2026-01-01&sig=0", Verdict::Lower("expired 2026-01-01".into())),
            (
                "/c?sv=2024-11-04&use=2026-01-01&sig=0",
                Verdict::Note("it does not say when it expires".into()),
            ),
            ("/c?se=soon&sig=0", Verdict::Note("it does not say when it expires".into())),
            ("/c?se=2026-13-41&sig=0", Verdict::Note("it does not say when it expires".into())),
        ] {
            // 2026-11-22T00:00:00Z
            let subject = Subject { now: Some(1_795_305_600), ..Subject::of(url.as_bytes()) };
            assert_eq!(signed_url(&subject, &Parameter::None), verdict, "{url}");
        }
        let unknown = Subject::of(b"/c?se=2020-01-01&sig=0");
        assert_eq!(signed_url(&unknown, &Parameter::None), Verdict::Note("valid until 2020-01-01".into()));
    }
}
