.DEFAULT_GOAL := help
SHELL      := /bin/bash
VERSION    := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2

.PHONY: help run demo test check lint fmt fuzz bench faults clients kernel image deps build

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-7s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: ## install what is missing, build, make the image once, start, and say what to type
	@deploy/run

demo: build ## play the whole job once against a throw-away instance, as a transcript
	@deploy/demo

test: ## everything, on the real binary, clients and engine
	@deploy/deps tests
	@! docker version >/dev/null 2>&1 || provision/image/build
	go test -race -timeout 40m ./...

check: lint test ## what CI runs

lint: ## gofmt, go vet, staticcheck, shell syntax
	@test -z "$$(gofmt -l .)" || { gofmt -l .; echo 'run: make fmt'; exit 1; }
	go vet ./...
	go run $(STATICCHECK) ./...
	@for f in deploy/* test/* provision/image/build .ci/run; do bash -n $$f || exit 1; done

fmt: ## format the code
	gofmt -w .

fuzz: ## each fuzz test for 20 seconds
	@go list ./... | while read p; do \
	  go test -list '^Fuzz' $$p | grep ^Fuzz | while read f; do echo "$$p $$f"; go test -run '^$$' -fuzz "^$$f$$" -fuzztime 20s $$p || exit 1; done || exit 1; done

bench: build ## measure against OpenSSH and docker on this machine; ROWS=tree,rsync for a part
	@deploy/deps tests
	@go run ./bench $(if $(ROWS),-rows '$(ROWS)')

faults: build image ## kill the gateway 200 times, the engine and the disk too, under load; ARGS for a part
	@go run ./bench/faults $(ARGS)

clients: build image ## play the file clients of Debian, and write the tables of docs/clients.md
	@test/clients --install --write

kernel: ## run the tests of disk quotas and of a clock that jumps in a kernel of their own, on ext4 and XFS
	@test/kernel --install

image: ## make the standard image of sites, if it is not there
	@provision/image/build

deps: ## install what tests, image and demo need (Debian, as root)
	@deploy/deps tests

build: ## bin/nuage
	@CGO_ENABLED=0 go build -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o bin/nuage ./cmd/nuage
