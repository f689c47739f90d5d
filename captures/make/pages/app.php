<?php
// `php -d display_errors=1|0 -S 127.0.0.1:PORT app.php`
function total($cart) {
    if (!isset($cart["rates"])) {
        throw new DomainException("no rates in the cart");
    }
    return $cart["rates"];
}

function boom() {
    return total(["lines" => 3]);
}

if (getenv("FORMAT") === "json") {
    // As Laravel answers a request that accepts JSON.
    set_exception_handler(function ($error) {
        http_response_code(500);
        header("Content-Type: application/json");
        $trace = array_map(fn ($frame) => array_diff_key($frame, ["args" => 1]), $error->getTrace());
        echo json_encode(ini_get("display_errors") ? ["message" => $error->getMessage(), "exception" => get_class($error),
            "file" => $error->getFile(), "line" => $error->getLine(), "trace" => $trace] : ["message" => "Server Error"]);
    });
} elseif (getenv("FORMAT") === "warning") {
    echo "<h1>Cart</h1>", $undefined["lines"];
    exit;
}
echo boom();
