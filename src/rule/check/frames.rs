//! Stack traces of languages other than Python, by their frames: places in source files that follow one another.

use memchr::memmem;

use super::Page;
use super::traceback::{is_in_manual, shown, without_tags};

/// Frames of one value that are read.
const MOST: usize = 2000;
/// Pages of one value.
const PAGES: usize = 8;
/// Bytes between a frame and the next, markup included.
const NEAR: usize = 800;
/// Bytes a frame takes on either side of its mark.
const WIDE: usize = 300;

/// What stands before a mark and behind it, to the bytes of a frame on either side; `None` where it is none.
type Frame = fn(&[u8], &[u8]) -> Option<(usize, usize)>;

/// How a language writes frames.
struct Language {
    /// What each frame holds, and what decides.
    mark: &'static [u8],
    frame: Frame,
    /// Frames that make a trace.
    least: usize,
    name: &'static str,
}

/// `at pkg.Class.method(File.java:12)`
pub(super) fn java(value: &[u8], out: &mut Vec<Page>) {
    for mark in [&b".java:"[..], b".kt:", b".scala:", b".groovy:"] {
        find(value, &Language { mark, frame: java_frame, least: 2, name: "Java" }, out);
    }
}

/// `at fn (/srv/app.js:12:5)`, `at node:internal/…:12:5`
pub(super) fn node(value: &[u8], out: &mut Vec<Page>) {
    for mark in [&b".js:"[..], b".ts:", b".mjs:", b".cjs:"] {
        find(value, &Language { mark, frame: node_frame, least: 2, name: "Node" }, out);
    }
}

/// `goroutine 12 [running]:`, and a place in a file behind it.
pub(super) fn go(value: &[u8], out: &mut Vec<Page>) {
    find(value, &Language { mark: b"goroutine ", frame: go_frame, least: 1, name: "Go" }, out);
}

/// `thread 'main' panicked at src/main.rs:4:5:`
pub(super) fn rust(value: &[u8], out: &mut Vec<Page>) {
    find(value, &Language { mark: b"panicked at ", frame: rust_frame, least: 1, name: "Rust" }, out);
}

/// `#0 /srv/www/a.php(12): f()`
pub(super) fn php(value: &[u8], out: &mut Vec<Page>) {
    find(value, &Language { mark: b".php(", frame: php_frame, least: 1, name: "PHP" }, out);
    if out.is_empty() {
        find(value, &Language { mark: b" on line ", frame: php_message, least: 1, name: "PHP" }, out);
    }
}

/// ``app/models/user.rb:12:in `find'``
pub(super) fn ruby(value: &[u8], out: &mut Vec<Page>) {
    find(value, &Language { mark: b".rb:", frame: ruby_frame, least: 2, name: "Ruby" }, out);
}

/// `at Shop.Cart.Add(Int32 id) in C:\shop\Cart.cs:line 12`, and the exception page of ASP.NET.
pub(super) fn dotnet(value: &[u8], out: &mut Vec<Page>) {
    for mark in [&b".cs:line "[..], b".vb:line ", b".fs:line ", b".cshtml:line "] {
        find(value, &Language { mark, frame: dotnet_frame, least: 1, name: ".NET" }, out);
    }
    let Some(start) = memmem::find(value, b"Server Error in '") else { return };
    let Some(end) = value.get(start..).and_then(|rest| memmem::find(rest, b"Stack Trace:")) else { return };
    if out.is_empty() {
        let detail = "server error with its stack trace (ASP.NET)".to_owned();
        out.push(Page { range: start..start + end, detail, complete: true });
    }
}

/// `died at /srv/cgi/a.pl line 12.`
pub(super) fn perl(value: &[u8], out: &mut Vec<Page>) {
    for mark in [&b".pl line "[..], b".pm line ", b".cgi line "] {
        find(value, &Language { mark, frame: perl_frame, least: 1, name: "Perl" }, out);
    }
    // Programs and modules take turns in one trace.
    out.sort_by_key(|page| page.range.start);
    out.truncate(1);
}

/// `(phoenix 1.7.1) lib/phoenix/router.ex:12: Phoenix.Router.call/2`
pub(super) fn elixir(value: &[u8], out: &mut Vec<Page>) {
    find(value, &Language { mark: b".ex:", frame: elixir_frame, least: 2, name: "Elixir" }, out);
}

fn find(value: &[u8], language: &Language, out: &mut Vec<Page>) {
    let mut group: Option<(usize, usize, usize, String)> = None;
    for at in memmem::find_iter(value, language.mark).take(MOST) {
        let before = value.get(at.saturating_sub(WIDE)..at).unwrap_or_default();
        let behind = value.get(at + language.mark.len()..).unwrap_or_default();
        let behind = behind.get(..WIDE).unwrap_or(behind);
        let Some((back, ahead)) = (language.frame)(before, behind) else { continue };
        let (start, end) = (at.saturating_sub(back), at + language.mark.len() + ahead);
        match &mut group {
            Some((_, last, count, _)) if start <= last.saturating_add(NEAR) => {
                *last = end;
                *count += 1;
            }
            _ => {
                tell(value, language, group.take(), out);
                group = Some((start, end, 1, place(before, behind)));
            }
        }
    }
    tell(value, language, group, out);
}

fn tell(
    value: &[u8],
    language: &Language,
    group: Option<(usize, usize, usize, String)>,
    out: &mut Vec<Page>,
) {
    let Some((start, end, count, place)) = group else { return };
    if count < language.least || out.len() >= PAGES || is_in_manual(value.get(..start).unwrap_or_default()) {
        return;
    }
    let range = start..end.min(value.len());
    if out.iter().any(|page| page.range.start < range.end && range.start < page.range.end) {
        return;
    }
    let said = said(value.get(..start).unwrap_or_default());
    let said = if said.is_empty() { "stack trace".to_owned() } else { said };
    out.push(Page { range, detail: format!("{said} at {place} ({})", language.name), complete: true });
}

/// The line in front of the first frame: the exception.
fn said(before: &[u8]) -> String {
    let near = before.get(before.len().saturating_sub(WIDE)..).unwrap_or_default();
    let text = String::from_utf8_lossy(near).replace("\\n", "\n").replace("\\t", " ").replace("<br", "\n<br");
    let text = text.replace("&nbsp;", " ");
    let text = without_tags(&text);
    let line = text
        .lines()
        .rev()
        .map(str::trim)
        .find(|line| line.chars().filter(|letter| letter.is_alphabetic()).count() > 3);
    shown(line.unwrap_or_default().trim_matches(['"', ',', '[', '{', ' ']))
}

/// `File.java:12`: the name around the mark's place.
fn place(before: &[u8], behind: &[u8]) -> String {
    let name = before.iter().rev().take_while(|&&byte| is_file(byte)).count();
    let name = before.get(before.len() - name..).unwrap_or_default();
    let line = behind.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let line = behind.get(..line).unwrap_or_default();
    match (name.is_empty(), line.is_empty()) {
        (false, false) => format!("{}:{}", String::from_utf8_lossy(name), String::from_utf8_lossy(line)),
        _ => "a line of source".to_owned(),
    }
}

fn is_file(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'$')
}

fn is_path(byte: u8) -> bool {
    is_file(byte) || matches!(byte, b'/' | b'\\' | b':' | b'@' | b'+' | b'%' | b'~')
}

/// Bytes at the end of `text` that are of a kind.
fn tail(text: &[u8], is: impl Fn(u8) -> bool) -> usize {
    text.iter().rev().take_while(|&&byte| is(byte)).count()
}

fn digits(text: &[u8]) -> usize {
    text.iter().take_while(|byte| byte.is_ascii_digit()).count()
}

fn java_frame(before: &[u8], behind: &[u8]) -> Option<(usize, usize)> {
    let line = digits(behind);
    let file = tail(before, is_file);
    let head = before.get(..before.len() - file)?.strip_suffix(b"(")?;
    let method = tail(head, |byte| is_file(byte) || matches!(byte, b'<' | b'>' | b'&' | b';' | b'/' | b'@'));
    let name = head.get(head.len() - method..)?;
    let rest = head.get(..head.len() - method)?;
    (file > 0
        && line > 0
        && behind.get(line) == Some(&b')')
        && name.contains(&b'.')
        && rest.ends_with(b"at "))
    .then_some((file + 1 + method + 3, line + 1))
}

fn node_frame(before: &[u8], behind: &[u8]) -> Option<(usize, usize)> {
    let line = digits(behind);
    let rest = behind.get(line..)?.strip_prefix(b":")?;
    let column = digits(rest);
    let path = tail(before, is_path);
    let head = before.get(..before.len() - path)?;
    let near = head.get(head.len().saturating_sub(120)..)?;
    let at = memmem::rfind(near, b"at ")?;
    let between = near.get(at + 3..)?;
    let named =
        between.is_empty() || between.ends_with(b"(") && !between.contains(&b'\n') && between.len() < 100;
    (line > 0 && column > 0 && path > 1 && named).then_some((path + near.len() - at, line + 1 + column))
}

fn go_frame(_: &[u8], behind: &[u8]) -> Option<(usize, usize)> {
    let number = digits(behind);
    let state = behind.get(number..)?.strip_prefix(b" [")?;
    let close = memmem::find(state.get(..60.min(state.len()))?, b"]:")?;
    let rest = state.get(close..)?;
    let file = memmem::find(rest, b".go:")?;
    (number > 0 && rest.get(file + 4).is_some_and(u8::is_ascii_digit))
        .then_some((0, number + 2 + close + file + 5))
}

fn rust_frame(before: &[u8], behind: &[u8]) -> Option<(usize, usize)> {
    let near = before.get(before.len().saturating_sub(100)..)?;
    let thread = memmem::rfind(near, b"thread ")?;
    let file = memmem::find(behind, b".rs:")?;
    behind.get(file + 4).is_some_and(u8::is_ascii_digit).then_some((near.len() - thread, file + 5))
}

fn php_frame(before: &[u8], behind: &[u8]) -> Option<(usize, usize)> {
    let line = digits(behind);
    let path = tail(before, is_path);
    let head = before.get(..before.len() - path)?.strip_suffix(b" ")?;
    let number = tail(head, |byte| byte.is_ascii_digit());
    let hash = head.get(..head.len() - number)?.ends_with(b"#");
    (line > 0 && number > 0 && hash && behind.get(line..)?.starts_with(b"): "))
        .then_some((path + number + 2, line + 2))
}

/// `Warning: … in /srv/www/a.php on line 12`, with or without markup.
fn php_message(before: &[u8], behind: &[u8]) -> Option<(usize, usize)> {
    let bare = |text: &[u8]| without_tags(&String::from_utf8_lossy(text));
    let (before, behind) = (bare(before), bare(behind));
    let file = before.trim_end().strip_suffix(".php")?;
    let known = ["Warning: ", "Fatal error: ", "Notice: ", "Parse error: ", "Deprecated: ", "Uncaught "]
        .iter()
        .any(|word| before.contains(word));
    let path = file.rsplit(" in ").next()?;
    let rooted = path.starts_with('/') || path.get(1..3) == Some(":\\");
    let line = behind.bytes().next().is_some_and(|byte| byte.is_ascii_digit());
    (known && rooted && line).then_some((0, 1))
}

fn ruby_frame(before: &[u8], behind: &[u8]) -> Option<(usize, usize)> {
    let line = digits(behind);
    (line > 0 && tail(before, is_path) > 0 && behind.get(line..)?.starts_with(b":in "))
        .then(|| (tail(before, is_path), line + 4))
}

fn dotnet_frame(before: &[u8], behind: &[u8]) -> Option<(usize, usize)> {
    let line = digits(behind);
    let path = memmem::rfind(before, b" in ")?;
    let method = memmem::rfind(before.get(..path)?, b"at ")?;
    (line > 0).then_some((before.len() - method, line))
}

fn perl_frame(before: &[u8], behind: &[u8]) -> Option<(usize, usize)> {
    let line = digits(behind);
    let path = tail(before, is_path);
    let head = before.get(..before.len() - path)?;
    let rooted = before.get(before.len() - path) == Some(&b'/');
    let died = rooted && head.ends_with(b" at ") && matches!(behind.get(line), Some(b'.' | b','));
    // As Carp writes a trace.
    let called = head.ends_with(b" called at ") && matches!(behind.get(line), None | Some(b'\r' | b'\n'));
    let back = match called {
        true => before.len() - memchr::memrchr(b'\n', before).map_or(0, |end| end + 1),
        false => path + 4,
    };
    (line > 0 && (died || called)).then_some((back, line))
}

fn elixir_frame(before: &[u8], behind: &[u8]) -> Option<(usize, usize)> {
    let line = digits(behind);
    let rest = behind.get(line..)?.strip_prefix(b": ")?;
    let slash = rest.iter().take_while(|&&byte| is_file(byte) || matches!(byte, b'?' | b'!')).count();
    let arity = rest.get(slash) == Some(&b'/') && rest.get(slash + 1).is_some_and(u8::is_ascii_digit);
    (line > 0 && arity && tail(before, is_path) > 0).then(|| (tail(before, is_path), line + 2 + slash))
}

#[cfg(test)]
mod tests {
    use super::*;

    type Find = fn(&[u8], &mut Vec<Page>);

    #[test]
    fn traces_are_told_by_their_frames() {
        let table: &[(Find, &str, &str)] = &[
            (
                java,
                "java.lang.IllegalStateException: no stock\n\tat com.shop.Cart.add(Cart.java:41)\n\tat com.shop.Main.main(Main.java:7)\n",
                "java.lang.IllegalStateException: no stock at Cart:41 (Java)",
            ),
            (
                java,
                r#"{"trace":"java.lang.NullPointerException\n\tat com.shop.Cart.add(Cart.java:41)\n\tat com.shop.A.<init>(A.java:9)\n"}"#,
                r#"trace":"java.lang.NullPointerException at Cart:41 (Java)"#,
            ),
            (
                node,
                "<pre>TypeError: Cannot read properties of undefined<br> &nbsp; &nbsp;at cart (/srv/shop/cart.js:12:9)<br> &nbsp; &nbsp;at Layer.handle (/srv/shop/node_modules/express/lib/router/layer.js:95:5)</pre>",
                "TypeError: Cannot read properties of undefined at cart:12 (Node)",
            ),
            (
                go,
                "panic: runtime error: index out of range [3]\n\ngoroutine 18 [running]:\nmain.cart(...)\n\t/srv/shop/cart.go:41 +0x1d\n",
                "panic: runtime error: index out of range [3] at a line of source (Go)",
            ),
            (
                rust,
                "thread 'main' panicked at src/main.rs:4:5:\nno stock\n",
                "stack trace at a line of source (Rust)",
            ),
            (
                php,
                "PHP Fatal error: Uncaught Exception: no stock\nStack trace:\n#0 /srv/www/cart.php(12): add()\n#1 {main}\n",
                "Stack trace: at cart:12 (PHP)",
            ),
            (
                php,
                "<br />\n<b>Warning</b>:  mysqli_connect(): refused in <b>/srv/www/db.php</b> on line <b>12</b><br />",
                "Warning:  mysqli_connect(): refused in /srv/www/db.php at a line of source (PHP)",
            ),
            (
                ruby,
                "NoMethodError (undefined method `price'):\napp/models/cart.rb:12:in `total'\napp/controllers/carts_controller.rb:7:in `show'\n",
                "NoMethodError (undefined method `price'): at cart:12 (Ruby)",
            ),
            (
                dotnet,
                "System.NullReferenceException: Object reference not set\r\n   at Shop.Cart.Add(Int32 id) in C:\\shop\\Cart.cs:line 41\r\n",
                "System.NullReferenceException: Object reference not set at Cart:41 (.NET)",
            ),
            (perl, "no stock at /srv/cgi/cart.pl line 12.\n", "no stock at cart:12 (Perl)"),
            (
                perl,
                "no stock at cart.pl line 9\n\tmain::total('HASH(0x56)') called at cart.pl line 10\n",
                "no stock at cart.pl line 9 at cart:10 (Perl)",
            ),
            (
                elixir,
                "** (KeyError) key :price not found\n    (shop 0.1.0) lib/shop/cart.ex:12: Shop.Cart.total/1\n    (phoenix 1.7.1) lib/phoenix/router.ex:430: Phoenix.Router.call/2\n",
                "(shop 0.1.0) at cart:12 (Elixir)",
            ),
        ];
        for (find, text, detail) in table {
            let mut pages = Vec::new();
            find(text.as_bytes(), &mut pages);
            let told: Vec<String> = pages
                .iter()
                .map(|page| page.detail.split_whitespace().collect::<Vec<_>>().join(" "))
                .collect();
            assert_eq!(told, [detail.split_whitespace().collect::<Vec<_>>().join(" ")], "{text}");
        }
    }

    #[test]
    fn what_only_looks_like_a_frame_is_none() {
        let all: &[Find] = &[java, node, go, rust, php, ruby, dotnet, perl, elixir];
        for text in [
            "See Cart.java:41 and Main.java:7 for how it is done.",
            "Look at (Cart.java:41) at first.",
            "<script src=\"/app.js:1\"></script> at /app.js: it begins",
            "A goroutine is cheap. goroutine 7 [running]: is how it reads.",
            "The thread panicked at noon.",
            "The value is on line 12 of cart.php",
            "routes.rb:12 and cart.rb:7 define it",
            "It stands on cart.pl line 12.",
            "server error in 'shop'",
        ] {
            for find in all {
                let mut pages = Vec::new();
                find(text.as_bytes(), &mut pages);
                assert!(pages.is_empty(), "{text}: {pages:?}");
            }
        }
    }
}
