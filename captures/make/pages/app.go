// `go run app.go PORT debug|production`: a handler that answers a panic with its stack, as recovery middlewares do.
package main

import (
	"fmt"
	"net/http"
	"os"
	"runtime/debug"
)

func total(cart map[string][]int) int { return cart["rates"][2] }

func boom(w http.ResponseWriter, r *http.Request) {
	defer func() {
		if err := recover(); err != nil {
			w.WriteHeader(http.StatusInternalServerError)
			if os.Args[2] == "debug" {
				fmt.Fprintf(w, "panic: %v\n%s", err, debug.Stack())
			} else {
				fmt.Fprintln(w, "Internal Server Error")
			}
		}
	}()
	fmt.Fprintln(w, total(map[string][]int{"rates": {1}}))
}

func main() {
	http.HandleFunc("/boom", boom)
	if err := http.ListenAndServe("127.0.0.1:"+os.Args[1], nil); err != nil {
		panic(err)
	}
}
