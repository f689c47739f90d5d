//! Leaks as rows for spreadsheets and databases (RFC 4180).

use std::borrow::Cow;
use std::io::{self, Write as _};

use super::text::clean;
use super::{Output, Sink};
use crate::model::event::{Event, Leak};

/// The names of the columns, as the first row of a file.
pub(super) const HEAD: &str = "time,severity,confidence,rule,title,secret,length,fingerprint,value,exposures,surface,name,client,server,\
transport,protocol,method,host,target,status,source,first_frame,last_frame,evidence,advice,cwe,owasp,process,related,id\n";

/// Writes each leak as it comes; what is no leak has no row.
pub struct Csv {
    out: Output,
}

impl Csv {
    /// A sink that writes to `out`, behind the head.
    #[must_use]
    pub fn new(out: Output) -> Self {
        Self { out }
    }
}

/// Nothing in a cell is a formula to a spreadsheet, or commands a terminal.
fn cell(text: &str) -> Cow<'_, str> {
    let text = clean(text);
    match text.starts_with(['=', '+', '-', '@']) {
        true => Cow::Owned(format!("'{text}")),
        false => text,
    }
}

fn row(leak: &Leak) -> Vec<String> {
    let secret = leak.secret.as_ref();
    let http = leak.http.as_ref();
    let exposures: Vec<&str> = leak.exposures.iter().map(|exposure| exposure.as_str()).collect();
    let some = |text: Option<&String>| text.cloned().unwrap_or_default();
    vec![
        leak.time.to_string(),
        leak.severity.as_str().to_owned(),
        leak.confidence.as_str().to_owned(),
        leak.rule.clone(),
        leak.title.clone(),
        some(secret.map(|secret| &secret.redacted)),
        secret.map(|secret| secret.length.to_string()).unwrap_or_default(),
        some(secret.map(|secret| &secret.fingerprint)),
        some(secret.and_then(|secret| secret.value.as_ref())),
        exposures.join(" "),
        leak.surface.as_str().to_owned(),
        some(leak.name.as_ref()),
        leak.flow.client.to_string(),
        leak.flow.server.to_string(),
        leak.flow.transport.as_str().to_owned(),
        leak.flow.protocol.clone(),
        some(http.and_then(|http| http.method.as_ref())),
        some(http.and_then(|http| http.host.as_ref())),
        some(http.and_then(|http| http.target.as_ref())),
        http.and_then(|http| http.status).map(|status| status.to_string()).unwrap_or_default(),
        leak.source.clone(),
        leak.frames[0].to_string(),
        leak.frames[1].to_string(),
        leak.evidence.clone(),
        some(leak.advice.as_ref()),
        leak.cwe.join(" "),
        leak.owasp.join(" "),
        leak.process
            .as_ref()
            .map(|process| format!("{} ({})", process.name, process.pid))
            .unwrap_or_default(),
        leak.related.join(" "),
        leak.id.clone(),
    ]
}

impl Sink for Csv {
    fn event(&mut self, event: &Event) -> io::Result<()> {
        let Event::Leak(leak) = event else { return Ok(()) };
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(row(leak).iter().map(|text| cell(text).into_owned()))?;
        let line = writer.into_inner().map_err(|error| io::Error::other(error.to_string()))?;
        self.out.write_all(&line)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    fn finish(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::super::example;
    use super::*;

    #[test]
    fn every_row_has_the_columns_of_the_head() {
        for event in example::events() {
            if let Event::Leak(leak) = event {
                assert_eq!(row(&leak).len(), HEAD.split(',').count());
            }
        }
    }

    #[test]
    fn nothing_in_a_cell_is_a_formula() {
        for (text, harmless) in [
            ("=cmd|' /C calc'!A0", "'=cmd|' /C calc'!A0"),
            ("+1", "'+1"),
            ("-1", "'-1"),
            ("@sum", "'@sum"),
            ("\t=1", "\\t=1"),
            ("a=b", "a=b"),
        ] {
            assert_eq!(cell(text), harmless);
        }
    }
}
