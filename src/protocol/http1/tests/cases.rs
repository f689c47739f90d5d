//! The table of conversations, in the order of the RFC's chapters.

use super::{Flow, Wire, told_in_every_cut};
use crate::model::Direction;

struct Case {
    name: &'static str,
    wire: Vec<Wire>,
    told: &'static [&'static str],
}

fn c(bytes: &(impl AsRef<[u8]> + ?Sized)) -> Wire {
    Wire::C(bytes.as_ref().to_vec())
}

fn s(bytes: &(impl AsRef<[u8]> + ?Sized)) -> Wire {
    Wire::S(bytes.as_ref().to_vec())
}

fn case(name: &'static str, wire: Vec<Wire>, told: &'static [&'static str]) -> Case {
    Case { name, wire, told }
}

fn check(cases: Vec<Case>) {
    for Case { name, wire, told } in cases {
        assert_eq!(told_in_every_cut(name, &wire), told, "{name}");
    }
}

const GET: &str = "GET /a?k=v HTTP/1.1\r\nHost: h\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

#[test]
fn messages_and_their_bodies() {
    check(vec![
        case(
            "a request and its answer",
            vec![c(GET), s(OK)],
            &[
                "> #1 GET /a?k=v http/1.1 [Host=h]",
                "> end",
                "< #1 200 http/1.1 [Content-Length=2]",
                "< body ok",
                "< end",
            ],
        ),
        case(
            "keep-alive",
            vec![
                c(GET),
                s(OK),
                c("GET /b HTTP/1.1\r\n\r\n"),
                s("HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n"),
            ],
            &[
                "> #1 GET /a?k=v http/1.1 [Host=h]",
                "> end",
                "> #2 GET /b http/1.1 []",
                "> end",
                "< #1 200 http/1.1 [Content-Length=2]",
                "< body ok",
                "< end",
                "< #2 404 http/1.1 [Content-Length=0]",
                "< end",
            ],
        ),
        case(
            "pipelining: answers pair in order, HEAD among them",
            vec![
                c("GET /1 HTTP/1.1\r\n\r\nHEAD /2 HTTP/1.1\r\n\r\nGET /3 HTTP/1.1\r\n\r\n"),
                s(
                    "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\naHTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
                ),
            ],
            &[
                "> #1 GET /1 http/1.1 []",
                "> end",
                "> #2 HEAD /2 http/1.1 []",
                "> end",
                "> #3 GET /3 http/1.1 []",
                "> end",
                "< #1 200 http/1.1 [Content-Length=1]",
                "< body a",
                "< end",
                "< #2 200 http/1.1 [Content-Length=999]",
                "< end",
                "< #3 204 http/1.1 []",
                "< end",
            ],
        ),
        case(
            "a counted body that looks like a request",
            vec![c("POST / HTTP/1.1\r\nContent-Length: 16\r\n\r\nGET / HTTP/1.1\r\nGET /n HTTP/1.1\r\n\r\n")],
            &[
                "> #1 POST / http/1.1 [Content-Length=16]",
                "> body GET / HTTP/1.1\\r\\n",
                "> end",
                "> #2 GET /n http/1.1 []",
                "> end",
            ],
        ),
        case(
            "chunks with extensions, quoted ones, and trailers",
            vec![
                c(
                    "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n4;a=b\r\nWiki\r\n005 ; q=\"x;y\" ;z\r\npedia\r\nA\r\n0123456789\r\n0;last\r\nX-Sum: 1\r\nX-Key: k\r\n folded\r\n\r\n",
                ),
                s("HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, Chunked\r\n\r\n2\nok\n0\n\n"),
            ],
            &[
                "> #1 POST / http/1.1 [Transfer-Encoding=chunked]",
                "> body Wikipedia0123456789",
                "> trailers [X-Sum=1|X-Key=k\\r\\n folded]",
                "> end",
                "< #1 200 http/1.1 [transfer-encoding=gzip, Chunked]",
                "< body ok",
                "< end",
            ],
        ),
        case(
            "a close-delimited body",
            vec![c(GET), s("HTTP/1.1 200 OK\r\n\r\nabc"), s("HTTP/1.1 200 OK\r\n\r\n")],
            &[
                "> #1 GET /a?k=v http/1.1 [Host=h]",
                "> end",
                "< #1 200 http/1.1 []",
                "< body abcHTTP/1.1 200 OK\\r\\n\\r\\n",
                "< end",
            ],
        ),
        case(
            "304 and interim answers have no body",
            vec![
                c("GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n"),
                s(
                    "HTTP/1.1 103 Early Hints\r\nLink: </s>\r\n\r\nHTTP/1.1 304 Not Modified\r\nContent-Length: 50\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx",
                ),
            ],
            &[
                "> #1 GET / http/1.1 []",
                "> end",
                "> #2 GET / http/1.1 []",
                "> end",
                "< #1 103 http/1.1 [Link=</s>]",
                "< end",
                "< #1 304 http/1.1 [Content-Length=50]",
                "< end",
                "< #2 200 http/1.1 [Content-Length=1]",
                "< body x",
                "< end",
            ],
        ),
        case(
            "100-continue",
            vec![
                c("PUT / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n"),
                s("HTTP/1.1 100 Continue\r\n\r\n"),
                c("data"),
                s("HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n"),
            ],
            &[
                "> #1 PUT / http/1.1 [Expect=100-continue|Content-Length=4]",
                "> body data",
                "> end",
                "< #1 100 http/1.1 []",
                "< end",
                "< #1 201 http/1.1 [Content-Length=0]",
                "< end",
            ],
        ),
        case(
            "100-continue refused: the body never comes",
            vec![
                c("PUT / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 400\r\n\r\n"),
                s("HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n"),
                c("PUT / HTTP/1.1\r\nAuthorization: Basic dTpw\r\nContent-Length: 2\r\n\r\nhi"),
            ],
            &[
                "> #1 PUT / http/1.1 [Expect=100-continue|Content-Length=400]",
                "> cut",
                "> #2 PUT / http/1.1 [Authorization=Basic dTpw|Content-Length=2]",
                "> body hi",
                "> end",
                "< #1 401 http/1.1 [Content-Length=0]",
                "< end",
            ],
        ),
        case(
            "100-continue refused: the body comes all the same",
            vec![
                c("PUT / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 11\r\n\r\n"),
                s("HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n"),
                c("POSTed dataGET / HTTP/1.1\r\n\r\n"),
            ],
            &[
                "> #1 PUT / http/1.1 [Expect=100-continue|Content-Length=11]",
                "> body POSTed data",
                "> end",
                "> #2 GET / http/1.1 []",
                "> end",
                "< #1 401 http/1.1 [Content-Length=0]",
                "< end",
            ],
        ),
        case(
            "no reason phrase",
            vec![c(GET), s("HTTP/1.1 200\r\nContent-Length: 1\r\n\r\nx")],
            &[
                "> #1 GET /a?k=v http/1.1 [Host=h]",
                "> end",
                "< #1 200 http/1.1 [Content-Length=1]",
                "< body x",
                "< end",
            ],
        ),
        case(
            "empty lines in front of a message",
            vec![
                c("\r\n\n\r\nGET / HTTP/1.1\r\n\r\n\r\n\r\nGET /2 HTTP/1.1\r\n\r\n"),
                s("\r\nHTTP/1.1 204 x\r\n\r\n"),
            ],
            &[
                "> #1 GET / http/1.1 []",
                "> end",
                "> #2 GET /2 http/1.1 []",
                "> end",
                "< #1 204 http/1.1 []",
                "< end",
            ],
        ),
    ]);
}

#[test]
fn other_protocols_behind_a_head() {
    check(vec![
        case(
            "Upgrade: WebSocket",
            vec![
                c("GET /ws HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: WebSocket, other\r\n\r\n"),
                s("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n\x02"),
                c("\x01GET / HTTP/1.1\r\n\r\n"),
            ],
            &[
                "> #1 GET /ws http/1.1 [Connection=Upgrade|Upgrade=WebSocket, other]",
                "> end",
                "> tunnel \\x01GET / HTTP/1.1\\r\\n\\r\\n",
                "< #1 101 http/1.1 [Upgrade=websocket]",
                "< end",
                "< switch websocket",
                "< tunnel \\x02",
            ],
        ),
        case(
            "the client's frames are seen before the answer",
            vec![
                c("GET /ws HTTP/1.1\r\nUpgrade: websocket\r\n\r\n"),
                c(b"\x81\x85abcdefghi"),
                s("HTTP/1.1 101 x\r\n\r\n"),
            ],
            &[
                "> #1 GET /ws http/1.1 [Upgrade=websocket]",
                "> end",
                "> tunnel \\x81\\x85abcdefghi",
                "< #1 101 http/1.1 []",
                "< end",
                "< switch websocket",
            ],
        ),
        case(
            "an upgrade nobody knows is recognised anew",
            vec![
                c("GET / HTTP/1.1\r\nUpgrade: gopher\r\n\r\n"),
                s("HTTP/1.1 101 x\r\nUpgrade: gopher\r\n\r\n"),
            ],
            &[
                "> #1 GET / http/1.1 [Upgrade=gopher]",
                "> end",
                "< #1 101 http/1.1 [Upgrade=gopher]",
                "< end",
                "< switch anew",
            ],
        ),
        case(
            "an upgrade refused",
            vec![c("GET / HTTP/1.1\r\nUpgrade: h2c\r\n\r\n"), s(OK), c("GET /2 HTTP/1.1\r\n\r\n")],
            &[
                "> #1 GET / http/1.1 [Upgrade=h2c]",
                "> end",
                "> #2 GET /2 http/1.1 []",
                "> end",
                "< #1 200 http/1.1 [Content-Length=2]",
                "< body ok",
                "< end",
            ],
        ),
        case(
            "an upgrade whose request was never seen",
            vec![s("HTTP/1.1 101 x\r\nUpgrade: H2C\r\n\r\nabc")],
            &["< #1 101 http/1.1 [Upgrade=H2C]", "< end", "< switch h2c", "< tunnel abc"],
        ),
        case(
            "CONNECT: what is inside is a new conversation",
            vec![
                c("CONNECT db.example:443 HTTP/1.1\r\nHost: db.example\r\n\r\nGET /inner HTTP/1.1\r\n\r\n"),
                s("HTTP/1.1 200 Connection established\r\nContent-Length: 7\r\n\r\nHTTP/1.1 204 x\r\n\r\n"),
            ],
            &[
                "> #1 CONNECT db.example:443 http/1.1 [Host=db.example]",
                "> end",
                "> tunnel GET /inner HTTP/1.1\\r\\n\\r\\n",
                "< #1 200 http/1.1 [Content-Length=7]",
                "< end",
                "< switch anew",
                "< tunnel HTTP/1.1 204 x\\r\\n\\r\\n",
            ],
        ),
        case(
            "CONNECT refused, and tried again",
            vec![
                c("CONNECT a:1 HTTP/1.1\r\n\r\n"),
                s("HTTP/1.1 407 No\r\nContent-Length: 2\r\n\r\nno"),
                c("CONNECT a:1 HTTP/1.1\r\nProxy-Authorization: Basic dTpw\r\n\r\n"),
                s("HTTP/1.1 200 x\r\n\r\n"),
                c("\x16\x03"),
            ],
            &[
                "> #1 CONNECT a:1 http/1.1 []",
                "> end",
                "> #2 CONNECT a:1 http/1.1 [Proxy-Authorization=Basic dTpw]",
                "> end",
                "> tunnel \\x16\\x03",
                "< #1 407 http/1.1 [Content-Length=2]",
                "< body no",
                "< end",
                "< #2 200 http/1.1 []",
                "< end",
                "< switch anew",
            ],
        ),
        case(
            "CONNECT refused: what waited is a request after all",
            vec![
                c("CONNECT a:1 HTTP/1.1\r\n\r\nGET /w HTTP/1.1\r\n\r\n"),
                s("HTTP/1.1 502 No\r\nContent-Length: 0\r\n\r\n"),
            ],
            &[
                "> #1 CONNECT a:1 http/1.1 []",
                "> end",
                "> #2 GET /w http/1.1 []",
                "> end",
                "< #1 502 http/1.1 [Content-Length=0]",
                "< end",
            ],
        ),
        case(
            "CONNECT never answered: what waited is text",
            vec![c("CONNECT a:1 HTTP/1.1\r\n\r\nabc"), Wire::CGap(9), c("def")],
            &["> #1 CONNECT a:1 http/1.1 []", "> end", "> text abcdef"],
        ),
    ]);
}

#[test]
fn spellings_of_heads() {
    check(vec![
        case(
            "folded header fields",
            vec![
                c("GET / HTTP/1.1\r\nCookie: a=1;\r\n\tb=2;\n  c=3\r\nHost: h\r\n\r\n"),
                s("HTTP/1.1 200 OK\r\nX:\r\n y\r\nContent-Length: 1\r\n\r\nz"),
            ],
            &[
                "> #1 GET / http/1.1 [Cookie=a=1;\\r\\n\\tb=2;\\n  c=3|Host=h]",
                "> end",
                "< #1 200 http/1.1 [X=y|Content-Length=1]",
                "< body z",
                "< end",
            ],
        ),
        case(
            "bare line feeds",
            vec![
                c("POST / HTTP/1.1\nContent-Length: 2\n\nhiGET / HTTP/1.1\r\nA: b\n\r\n"),
                s("HTTP/1.0 204 x\n\n"),
            ],
            &[
                "> #1 POST / http/1.1 [Content-Length=2]",
                "> body hi",
                "> end",
                "> #2 GET / http/1.1 [A=b]",
                "> end",
                "< #1 204 http/1.0 []",
                "< end",
            ],
        ),
        case(
            "spaces before colons and around values",
            vec![c("POST / HTTP/1.1\r\nHost : h\r\nContent-Length\t : \t2 \r\n\r\nhi")],
            &["> #1 POST / http/1.1 [Host=h|Content-Length=2]", "> body hi", "> end"],
        ),
        case(
            "white space at the start of lines",
            vec![c("  GET / HTTP/1.1\r\n X-Key: k\r\nHost: h\r\n\r\n")],
            &["> #1 GET / http/1.1 [X-Key=k|Host=h]", "> end"],
        ),
        case(
            "lines without a colon, names that are none",
            vec![c("GET / HTTP/1.1\r\nnonsense\r\n: v\r\nb\u{e4}d name: v\r\nHost: h\r\n\r\n")],
            &["> #1 GET / http/1.1 [=nonsense|=v|b\\xc3\\xa4d name=v|Host=h]", "> end"],
        ),
        case(
            "NUL bytes and high bytes in values",
            vec![c(b"GET /\xff HTTP/1.1\r\nA: x\x00y\r\nB: \xe4\r\nC: \x0d!\r\n\r\n")],
            &["> #1 GET /\\xff http/1.1 [A=x\\x00y|B=\\xe4|C=!]", "> end"],
        ),
        case(
            "absolute, authority and asterisk form",
            vec![c(
                "GET http://u:p@h.example/a?b#c HTTP/1.1\r\n\r\nOPTIONS * HTTP/1.1\r\n\r\nCONNECT h:1 HTTP/1.1\r\n\r\n",
            )],
            &[
                "> #1 GET http://u:p@h.example/a?b#c http/1.1 []",
                "> end",
                "> #2 OPTIONS * http/1.1 []",
                "> end",
                "> #3 CONNECT h:1 http/1.1 []",
                "> end",
            ],
        ),
        case(
            "a target with spaces",
            vec![c("GET /a b?key=c d HTTP/1.1\r\nHost: h\r\n\r\n")],
            &["> #1 GET /a b?key=c d http/1.1 [Host=h]", "> end"],
        ),
        case(
            "unknown methods and odd versions",
            vec![c(
                "BREW /pot HTTP/1.1\r\n\r\nGET /x HTTP/1.9\r\n\r\nGET /y http/1.1\r\n\r\nGET /z HTTP/3.0\r\nA: b\r\n\r\n",
            )],
            &[
                "> #1 BREW /pot http/1.1 []",
                "> end",
                "> #2 GET /x http/1.1 []",
                "> end",
                "> #3 GET /y http/1.1 []",
                "> end",
                "> #4 GET /z http/1.1 [A=b]",
                "> end",
            ],
        ),
        case(
            "a method that cannot be one",
            vec![c("1ET / HTTP/1.1\r\n\r\n")],
            &["> text 1ET / HTTP/1.1\\r\\n\\r\\n"],
        ),
        case(
            "HTTP/1.0 without keep-alive",
            vec![c("GET / HTTP/1.0\r\n\r\n"), s("HTTP/1.0 200 OK\r\nServer: x\r\n\r\nbody")],
            &["> #1 GET / http/1.0 []", "> end", "< #1 200 http/1.0 [Server=x]", "< body body", "< end"],
        ),
        case(
            "HTTP/0.9",
            vec![c("GET /old?key=v\r\n"), s("\r\n<html>")],
            &[
                "> #1 GET /old?key=v http/0.9 []",
                "> end",
                "< #1 200 http/0.9 []",
                "< body \\r\\n<html>",
                "< end",
            ],
        ),
        case(
            "HTTP/0.9 with an answer that begins like another",
            vec![c("GET /old\n"), s("HT")],
            &["> #1 GET /old http/0.9 []", "> end", "< #1 200 http/0.9 []", "< body HT", "< end"],
        ),
        case(
            "HTTP/0.9 answered in a newer version",
            vec![c("GET /old\r\n"), s("HTTP/1.1 400 Bad\r\nContent-Length: 0\r\n\r\n")],
            &["> #1 GET /old http/0.9 []", "> end", "< #1 400 http/1.1 [Content-Length=0]", "< end"],
        ),
    ]);
}

#[test]
fn lengths_that_conflict() {
    check(vec![
        case(
            "a transfer coding beats a length",
            vec![c(
                "POST / HTTP/1.1\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n",
            )],
            &[
                "> #1 POST / http/1.1 [Content-Length=4|Transfer-Encoding=chunked]",
                "> signal http-conflicting-lengths Content-Length: 4, Transfer-Encoding: chunked",
                "> body x",
                "> end",
                "> #2 GET / http/1.1 []",
                "> end",
            ],
        ),
        case(
            "lengths that differ: the body goes on to the next head",
            vec![c(
                "POST / HTTP/1.1\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nabcdeGET / HTTP/1.1\r\nHost: h\r\n\r\n",
            )],
            &[
                "> #1 POST / http/1.1 [Content-Length=4|Content-Length=5]",
                "> signal http-conflicting-lengths Content-Length: 4, Content-Length: 5",
                "> body abcde",
                "> cut",
                "> #2 GET / http/1.1 [Host=h]",
                "> end",
            ],
        ),
        case(
            "a list of equal lengths is one",
            vec![
                c("POST / HTTP/1.1\r\nContent-Length: 2, 2\r\n\r\nhi"),
                s("HTTP/1.1 200 OK\r\nContent-Length: 1,2\r\n\r\nab"),
            ],
            &[
                "> #1 POST / http/1.1 [Content-Length=2, 2]",
                "> body hi",
                "> end",
                "< #1 200 http/1.1 [Content-Length=1,2]",
                "< signal http-conflicting-lengths Content-Length: 1,2",
                "< body ab",
                "< cut",
            ],
        ),
        case(
            "a coding that does not end in chunked",
            vec![
                c(
                    "POST / HTTP/1.1\r\nTransfer-Encoding: xchunked\r\n\r\n3\r\nabc\r\nPOST /2 HTTP/1.1\r\nContent-Length: 0\r\n\r\n",
                ),
                s("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, gzip\r\n\r\n3\r\nabc"),
            ],
            &[
                "> #1 POST / http/1.1 [Transfer-Encoding=xchunked]",
                "> body 3\\r\\nabc\\r\\n",
                "> cut",
                "> #2 POST /2 http/1.1 [Content-Length=0]",
                "> end",
                "< #1 200 http/1.1 [Transfer-Encoding=chunked, gzip]",
                "< body 3\\r\\nabc",
                "< end",
            ],
        ),
        case(
            "a coding hidden by a space before its colon counts",
            vec![c(
                "POST / HTTP/1.1\r\nTransfer-Encoding : chunked\r\nContent-Length: 3\r\n\r\n1\r\nx\r\n0\r\n\r\n",
            )],
            &[
                "> #1 POST / http/1.1 [Transfer-Encoding=chunked|Content-Length=3]",
                "> signal http-conflicting-lengths Transfer-Encoding: chunked, Content-Length: 3",
                "> body x",
                "> end",
            ],
        ),
        case(
            "sizes of chunks that are none",
            vec![
                c(
                    "POST /1 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\nzz\r\nsecret\r\nGET /2 HTTP/1.1\r\n\r\n",
                ),
                s(
                    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10000000000000000\r\nab\r\nHTTP/1.1 204 No\r\n\r\n",
                ),
            ],
            &[
                "> #1 POST /1 http/1.1 [Transfer-Encoding=chunked]",
                "> body x",
                "> cut",
                "> text zz\\r\\nsecret\\r\\n",
                "> #2 GET /2 http/1.1 []",
                "> end",
                "< #1 200 http/1.1 [Transfer-Encoding=chunked]",
                "< cut",
                "< text 10000000000000000\\r\\nab\\r\\n",
                "< #2 204 http/1.1 []",
                "< end",
            ],
        ),
        case(
            "a chunk longer than its size",
            vec![c("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabcd\r\n0\r\n\r\n")],
            &[
                "> #1 POST / http/1.1 [Transfer-Encoding=chunked]",
                "> body ab",
                "> cut",
                "> text cd\\r\\n0\\r\\n\\r\\n",
            ],
        ),
    ]);
}

#[test]
fn one_side_only() {
    check(vec![
        case(
            "requests whose answer never comes",
            vec![c(GET), c("POST / HTTP/1.1\r\nContent-Length: 1\r\n\r\nx")],
            &[
                "> #1 GET /a?k=v http/1.1 [Host=h]",
                "> end",
                "> #2 POST / http/1.1 [Content-Length=1]",
                "> body x",
                "> end",
            ],
        ),
        case(
            "answers whose request was never seen",
            vec![
                s(
                    "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n",
                ),
                c(GET),
                s(OK),
            ],
            &[
                "> #3 GET /a?k=v http/1.1 [Host=h]",
                "> end",
                "< #1 100 http/1.1 []",
                "< end",
                "< #1 200 http/1.1 [Content-Length=2]",
                "< body ok",
                "< end",
                "< #2 404 http/1.1 [Content-Length=0]",
                "< end",
                "< #3 200 http/1.1 [Content-Length=2]",
                "< body ok",
                "< end",
            ],
        ),
        case(
            "the answer to a HEAD that was never seen",
            vec![s("HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\nHTTP/1.1 200 OK\r\n\r\nrest")],
            &[
                "< #1 200 http/1.1 [Content-Length=5000]",
                "< end",
                "< #2 200 http/1.1 []",
                "< body rest",
                "< end",
            ],
        ),
    ]);
}

#[test]
fn behind_a_gap() {
    check(vec![
        case(
            "a gap within a counted body",
            vec![
                c(GET),
                s("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nab"),
                Wire::SGap(5),
                s("hijHTTP/1.1 204 x\r\n\r\n"),
            ],
            &[
                "> #1 GET /a?k=v http/1.1 [Host=h]",
                "> end",
                "< #1 200 http/1.1 [Content-Length=10]",
                "< body ab",
                "< body-gap 5",
                "< body hij",
                "< end",
                "< #2 204 http/1.1 []",
                "< end",
            ],
        ),
        case(
            "a gap up to the end of a counted body",
            vec![
                c("POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nab"),
                Wire::CGap(3),
                c("GET / HTTP/1.1\r\n\r\n"),
            ],
            &[
                "> #1 POST / http/1.1 [Content-Length=5]",
                "> body ab",
                "> body-gap 3",
                "> end",
                "> #2 GET / http/1.1 []",
                "> end",
            ],
        ),
        case(
            "gaps in chunks",
            vec![
                c("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\na"),
                Wire::CGap(2),
                c("de\r\n3\r\n"),
                Wire::CGap(3),
                c("\r\n0\r\n\r\n"),
            ],
            &[
                "> #1 POST / http/1.1 [Transfer-Encoding=chunked]",
                "> body a",
                "> body-gap 2",
                "> body de",
                "> body-gap 3",
                "> end",
            ],
        ),
        case(
            "a gap over the end of a body",
            vec![
                c("POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nab"),
                Wire::CGap(400),
                c(
                    "est=1&x=2 {\"k\": 3}\r\nGET / HTTP/1.0 quoted\r\nPOST /n HTTP/1.1\r\nContent-Length: 1\r\n\r\ny",
                ),
            ],
            &[
                "> #1 POST / http/1.1 [Content-Length=5]",
                "> body ab",
                "> cut",
                "> text est=1&x=2 {\"k\": 3}\\r\\nGET / HTTP/1.0 quoted\\r\\n",
                "> #2 POST /n http/1.1 [Content-Length=1]",
                "> body y",
                "> end",
            ],
        ),
        case(
            "a head directly behind a body without a line end",
            vec![
                c("POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nab"),
                Wire::CGap(400),
                c("\"x\": 1}PUT /n?k=v HTTP/1.1\r\nHost: h\r\n\r\n"),
                s("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"),
                Wire::SGap(400),
                s("a HTTP/1.1 20x </html>HTTP/1.1 204 No Content\r\nServer: x\r\n\r\n"),
            ],
            &[
                "> #1 POST / http/1.1 [Content-Length=5]",
                "> body ab",
                "> cut",
                "> text \"x\": 1}",
                "> #2 PUT /n?k=v http/1.1 [Host=h]",
                "> end",
                "< #1 200 http/1.1 [Content-Length=5]",
                "< cut",
                "< text a HTTP/1.1 20x </html>",
                "< #2 204 http/1.1 [Server=x]",
                "< end",
            ],
        ),
        case(
            "a log line is no head",
            vec![
                Wire::CGap(1),
                c("10.0.0.1 - GET /x HTTP/1.1\r\n10.0.0.2 - GET /y HTTP/1.1\r\nend"),
                Wire::SGap(1),
                s("curl said HTTP/1.1 200 OK\r\nthen it stopped\r\n"),
            ],
            &[
                "> text 10.0.0.1 - GET /x HTTP/1.1\\r\\n10.0.0.2 - GET /y HTTP/1.1\\r\\nend",
                "< text curl said HTTP/1.1 200 OK\\r\\nthen it stopped\\r\\n",
            ],
        ),
        case(
            "a gap in a head: what was seen of it is told",
            vec![
                c("GET /a?k=v HTTP/1.1\r\nHost: h\r\nCookie: sess"),
                Wire::CGap(10),
                c("rest\r\n\r\nGET /2 HTTP/1.1\r\n\r\n"),
                s("HTTP/1.1 200 OK\r\nSet-Coo"),
                Wire::SGap(10),
                s("=1\r\n\r\n"),
            ],
            &[
                "> #1 GET /a?k=v http/1.1 [Host=h|Cookie=sess]",
                "> cut",
                "> text rest\\r\\n\\r\\n",
                "> #2 GET /2 http/1.1 []",
                "> end",
                "< #1 200 http/1.1 [Set-Coo=]",
                "< cut",
                "< text =1\\r\\n\\r\\n",
            ],
        ),
        case(
            "an answer lost whole: the next one belongs to the newest request",
            vec![
                c("GET /1 HTTP/1.1\r\n\r\n"),
                s(OK),
                c("GET /2 HTTP/1.1\r\n\r\n"),
                Wire::SGap(500),
                c("GET /3 HTTP/1.1\r\n\r\n"),
                s(OK),
            ],
            &[
                "> #1 GET /1 http/1.1 []",
                "> end",
                "> #2 GET /2 http/1.1 []",
                "> end",
                "> #3 GET /3 http/1.1 []",
                "> end",
                "< #1 200 http/1.1 [Content-Length=2]",
                "< body ok",
                "< end",
                "< #3 200 http/1.1 [Content-Length=2]",
                "< body ok",
                "< end",
            ],
        ),
        case(
            "a gap in a close-delimited body",
            vec![c(GET), s("HTTP/1.0 200 OK\r\n\r\nab"), Wire::SGap(1000), s("HTTP/1.1 no head")],
            &[
                "> #1 GET /a?k=v http/1.1 [Host=h]",
                "> end",
                "< #1 200 http/1.0 []",
                "< body ab",
                "< body-gap 1000",
                "< body HTTP/1.1 no head",
                "< end",
            ],
        ),
        case(
            "a gap in chunk framing and trailers",
            vec![
                c("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-Sum: 1\r\nX-K: ab"),
                Wire::CGap(1),
                c("!"),
                s("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1"),
                Wire::SGap(1),
                s("abc"),
            ],
            &[
                "> #1 POST / http/1.1 [Transfer-Encoding=chunked]",
                "> trailers [X-Sum=1|X-K=ab]",
                "> cut",
                "> text !",
                "< #1 200 http/1.1 [Transfer-Encoding=chunked]",
                "< cut",
                "< text abc",
            ],
        ),
    ]);
}

#[test]
fn where_the_stream_ends() {
    check(vec![
        case(
            "in a target",
            vec![c("GET /v1/x?api_key=k123")],
            &["> #1 GET /v1/x?api_key=k123 http/1.1 []", "> cut"],
        ),
        case("in a version", vec![c("GET /v1/x HTTP/1")], &["> #1 GET /v1/x http/1.1 []", "> cut"]),
        case("in a name", vec![c("GET / HTTP/1.1\r\nHo")], &["> #1 GET / http/1.1 [Ho=]", "> cut"]),
        case("in a method", vec![c("GE")], &["> text GE"]),
        case("in a status", vec![s("HTTP/1.1 20")], &["< text HTTP/1.1 20"]),
        case("behind a status", vec![s("HTTP/1.1 200 O")], &["< #1 200 http/1.1 []", "< cut"]),
        case(
            "in a counted body",
            vec![c("POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nabc")],
            &["> #1 POST / http/1.1 [Content-Length=9]", "> body abc", "> cut"],
        ),
        case(
            "in a chunk",
            vec![c("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nabc")],
            &["> #1 POST / http/1.1 [Transfer-Encoding=chunked]", "> body abc", "> cut"],
        ),
        case(
            "with no message at all",
            vec![c("hello\r\nworld"), s("\x00\x01\x02")],
            &["> text hello\\r\\nworld", "< text \\x00\\x01\\x02"],
        ),
        case(
            "junk, then a message",
            vec![c("\x05junk GET x\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n"), s("junk\nHTTP/1.1 204 x\r\n\r\n")],
            &[
                "> text \\x05junk GET x\\r\\n",
                "> #1 GET / http/1.1 [Host=h]",
                "> end",
                "< text junk\\n",
                "< #1 204 http/1.1 []",
                "< end",
            ],
        ),
        case(
            "a status line from a client, a request from a server",
            vec![c(OK), s(GET)],
            &[
                "> text HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nok",
                "< text GET /a?k=v HTTP/1.1\\r\\nHost: h\\r\\n\\r\\n",
            ],
        ),
    ]);
}

#[test]
fn long_heads_have_a_limit() {
    let filler = |bytes: usize| "x".repeat(bytes);
    for (target, headers, accepted) in
        [(200_000, 10, true), (10, 200_000, true), (300_000, 10, false), (10, 300_000, false)]
    {
        let request = format!(
            "GET /{} HTTP/1.1\r\nA: {}\r\n\r\nGET /next HTTP/1.1\r\n\r\n",
            filler(target),
            filler(headers)
        );
        let wire = [c(&request)];
        for piece in [request.len(), 1448, 65_536] {
            let flow = Flow::play(&wire, |_, bytes| bytes.chunks(piece).map(<[u8]>::to_vec).collect());
            let told = flow.told();
            assert!(told[0].starts_with("> #1 GET /xxx"), "{target} {headers} {piece}");
            assert_eq!(told[1], if accepted { "> end" } else { "> cut" }, "{target} {headers} {piece}");
            assert_eq!(told[2] == "> head-limit 0", !accepted, "{target} {headers} {piece}");
            let next = told.iter().find(|line| line.contains("GET /next")).unwrap();
            assert!(next.starts_with("> #2 GET /next"), "{target} {headers} {piece}");
            assert!(flow.most_kept <= super::super::HEAD_LIMIT + piece);
        }
    }
}

#[test]
fn fields_beyond_the_limit_are_told_as_such() {
    let fields = "A: b\r\n".repeat(1003);
    let told = Flow::play(&[c(&format!("GET / HTTP/1.1\r\n{fields}\r\n"))], |_, bytes| vec![bytes.to_vec()]);
    let told = told.told();
    assert_eq!(told[0], "> field-limit 16");
    assert!(told[1].ends_with("|A=b|=A: b\\r\\nA: b\\r\\nA: b]"), "{}", told[1]);
}

#[test]
fn many_fields_are_all_told() {
    let fields: String = (0..300).map(|number| format!("N{number}: v\r\n")).collect();
    let flow = Flow::play(&[c(&format!("GET / HTTP/1.1\r\n{fields}\r\n"))], |_, bytes| vec![bytes.to_vec()]);
    assert!(flow.told()[0].ends_with("|N299=v]"));
}

#[test]
fn a_tunnel_without_an_answer_is_not_waited_for_for_ever() {
    let mut flow = Flow::new();
    flow.data(Direction::ToServer, b"CONNECT a:1 HTTP/1.1\r\n\r\n");
    for _ in 0..100 {
        flow.data(Direction::ToServer, &[b'x'; 1000]);
    }
    flow.end();
    assert!(flow.told().contains(&"> switch anew".to_owned()));
    assert!(flow.most_kept <= super::super::WAIT_LIMIT + 1000);
}

#[test]
fn a_body_is_never_kept() {
    let mut flow = Flow::new();
    flow.data(Direction::ToClient, b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n");
    for _ in 0..1000 {
        flow.data(Direction::ToClient, &[b'x'; 1448]);
    }
    assert_eq!(flow.most_kept, 0);
}

#[test]
fn the_reason_of_an_answer_is_told() {
    for (line, reason) in [
        ("HTTP/1.1 200 OK\r\n", "OK"),
        ("HTTP/1.1 500 cannot reach mysql://db1\r\n", "cannot reach mysql://db1"),
        ("HTTP/1.1 404 nicht für dich\r\n", "nicht für dich"),
        ("HTTP/1.1 204 \r\n", ""),
        ("HTTP/1.1 204\r\n", ""),
        ("HTTP/1.0  302  Gone on \r\nA b: c\r\n", "Gone on"),
    ] {
        let flow =
            Flow::play(&[s(&format!("{line}Content-Length: 0\r\n\r\n"))], |_, bytes| vec![bytes.to_vec()]);
        assert_eq!(flow.record.reasons, [reason], "{line}");
    }
}
