// Command light is the web server of the bench's own container: it gives out files and does nothing else, so that what is
// measured is the way to it.
package main

import (
	"log"
	"net/http"
)

func main() {
	log.Fatal(http.ListenAndServe(":8080", http.FileServer(http.Dir("/home/site/www"))))
}
