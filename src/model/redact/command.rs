//! What may be shown of a command line.

use super::{HIDDEN, excerpt, is_telling, looks_like_token, redact, shorten};

/// Flags whose value is a credential, or holds one behind a colon, though their name does not tell.
const CREDENTIALS: [&str; 5] = ["-u", "--user", "--proxy-user", "-U", "--oauth2-bearer"];

/// A command line with every argument masked that may be secret: values of flags and variables that tell, headers, URLs,
/// credentials (`user:password`), tokens.
#[must_use]
pub fn command_line<'a>(arguments: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut shown = String::new();
    let mut before = String::new();
    for argument in arguments {
        if shown.len() > super::ENOUGH {
            break;
        }
        let text = String::from_utf8_lossy(argument).into_owned();
        if !shown.is_empty() {
            shown.push(' ');
        }
        shown.push_str(&masked(&text, &before));
        before = text;
    }
    shorten(shown)
}

fn masked(argument: &str, before: &str) -> String {
    let is_flag = argument.starts_with('-') && argument.len() > 1;
    if !is_flag && before.starts_with('-') && !before.contains('=') {
        if is_telling(before) {
            return HIDDEN.to_owned();
        }
        if CREDENTIALS.contains(&before) {
            return behind_colon(argument);
        }
    }
    // `--user=name:password`, `-uroot:password`, and MySQL's `-ppassword`.
    if let Some((flag, value)) = argument.split_once('=')
        && (is_flag || is_variable(flag))
    {
        return if is_telling(flag) {
            format!("{flag}={HIDDEN}")
        } else if CREDENTIALS.contains(&flag) {
            format!("{flag}={}", behind_colon(value))
        } else {
            format!("{flag}={}", masked(value, ""))
        };
    }
    if let Some(value) = argument.strip_prefix("-u")
        && value.contains(':')
    {
        return format!("-u{}", behind_colon(value));
    }
    if let Some(value) = argument.strip_prefix("-p")
        && !value.is_empty()
        && !value.bytes().all(|byte| byte.is_ascii_digit())
    {
        return format!("-p{HIDDEN}");
    }
    if looks_like_token(argument.as_bytes()) && !argument.contains('/') {
        return redact(argument.as_bytes(), false);
    }
    // A header tells what stands behind it to its end.
    if let Some((name, _)) = argument.split_once(": ")
        && is_telling(name)
    {
        return format!("{}: {HIDDEN}", excerpt(name.as_bytes(), &[]));
    }
    excerpt(argument.as_bytes(), &[])
}

fn is_variable(name: &str) -> bool {
    !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'))
}

fn behind_colon(text: &str) -> String {
    match text.split_once(':') {
        Some((user, _)) => format!("{user}:{HIDDEN}"),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_secret_of_a_command_line_is_shown() {
        for (line, shown) in [
            ("curl -s http://127.0.0.1:8080/ok", "curl -s http://127.0.0.1:8080/ok"),
            ("curl|-u|ann:hunter22|http://a.example/", "curl -u ann:… http://a.example/"),
            ("curl|-uann:hunter22|x", "curl -uann:… x"),
            ("curl|--user=ann:hunter22", "curl --user=ann:…"),
            ("curl|-H|Authorization: Bearer abcdefgh|x", "curl -H Authorization: … x"),
            ("curl|-H|X-Api-Key: opensesame", "curl -H X-Api-Key: …"),
            ("mysql|-uroot|-phunter22|shop", "mysql -uroot -p… shop"),
            ("ssh|-p2222|host", "ssh -p2222 host"),
            ("app|--password|hunter22|--port|80", "app --password … --port 80"),
            ("app|--api-key=hunter22", "app --api-key=…"),
            ("env|DB_PASSWORD=hunter22|app", "env DB_PASSWORD=… app"),
            ("psql|postgresql://ann:hunter22@db.example/shop", "psql postgresql://…@db.example/shop"),
            ("app|sk_live_q7Vd3TzN9mKw2RbX5cYh8PfL", "app sk_l…8PfL"),
            ("python3|-m|flask|run", "python3 -m flask run"),
            ("", ""),
        ] {
            let parts: Vec<&str> =
                if line.contains('|') { line.split('|').collect() } else { line.split(' ').collect() };
            let redacted = command_line(parts.iter().map(|part| part.as_bytes()));
            assert_eq!(redacted, shown, "{line}");
            assert!(!redacted.contains("hunter22"), "{redacted}");
        }
        let query = command_line([&b"curl"[..], b"http://a.example/x?api_key=hunter22&n=3"]);
        assert!(!query.contains("hunter22"), "{query}");
    }

    #[test]
    fn a_long_command_line_ends() {
        let long = vec![b'a'; 1 << 20];
        assert!(command_line([&long[..], &long]).chars().count() < 400);
        assert!(command_line(std::iter::repeat_n(&b"x"[..], 1_000_000)).chars().count() < 400);
    }
}
