// Package main is the platform registry of a sandbox: distribution's registry behind TLS, with one
// account that may push and one that can only pull, and an access log that tests count in.
//
// The rule about accounts lives here because distribution's own password file knows no rights.
package main

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/distribution/distribution/v3/configuration"
	"github.com/distribution/distribution/v3/registry/handlers"
	_ "github.com/distribution/distribution/v3/registry/storage/driver/filesystem"
)

// account is one user of the registry.
type account struct {
	Name     string `json:"name"`
	Password string `json:"password"`
	Push     bool   `json:"push"`
}

// forward carries TCP connections of the platform's address to where they are served.
type forward struct {
	Listen string `json:"listen"`
	To     string `json:"to"`
}

// settings is the file that the sandbox writes; the field names are a contract with it.
type settings struct {
	Listen      string    `json:"listen"`
	Certificate string    `json:"certificate"`
	Key         string    `json:"key"`
	Storage     string    `json:"storage"`
	AccessLog   string    `json:"accessLog"`
	Accounts    []account `json:"accounts"`
	Forwards    []forward `json:"forwards"`
}

// access is one line of the access log.
type access struct {
	Time     time.Time `json:"time"`
	Method   string    `json:"method"`
	Path     string    `json:"path"`
	Query    string    `json:"query,omitempty"`
	Account  string    `json:"account"`
	Status   int       `json:"status"`
	Received int64     `json:"received"`
	Sent     int64     `json:"sent"`
	Millis   int64     `json:"millis"`
	Agent    string    `json:"agent"`
}

// gate checks accounts before distribution sees a request, and records every request.
type gate struct {
	next     http.Handler
	accounts []account
	lock     sync.Mutex
	log      *json.Encoder
}

// countedBody counts what a client sent.
type countedBody struct {
	io.ReadCloser
	bytes int64
}

func (body *countedBody) Read(buffer []byte) (int, error) {
	read, err := body.ReadCloser.Read(buffer)
	body.bytes += int64(read)
	return read, err
}

// countedAnswer counts what a client was sent and keeps the status.
type countedAnswer struct {
	http.ResponseWriter
	status int
	bytes  int64
}

func (answer *countedAnswer) WriteHeader(status int) {
	answer.status = status
	answer.ResponseWriter.WriteHeader(status)
}

func (answer *countedAnswer) Write(buffer []byte) (int, error) {
	written, err := answer.ResponseWriter.Write(buffer)
	answer.bytes += int64(written)
	return written, err
}

func (answer *countedAnswer) ReadFrom(source io.Reader) (int64, error) {
	copied, err := io.Copy(answer.ResponseWriter, source)
	answer.bytes += copied
	return copied, err
}

// Unwrap lets http.ResponseController reach the connection.
func (answer *countedAnswer) Unwrap() http.ResponseWriter { return answer.ResponseWriter }

func (g *gate) known(request *http.Request) *account {
	name, password, given := request.BasicAuth()
	if !given {
		return nil
	}
	for i := range g.accounts {
		candidate := &g.accounts[i]
		same := subtle.ConstantTimeCompare([]byte(candidate.Password), []byte(password)) == 1
		if candidate.Name == name && same {
			return candidate
		}
	}
	return nil
}

func refuse(answer http.ResponseWriter, status int, code, message string) {
	answer.Header().Set("Content-Type", "application/json")
	answer.WriteHeader(status)
	body := map[string]any{"errors": []map[string]string{{"code": code, "message": message}}}
	if err := json.NewEncoder(answer).Encode(body); err != nil {
		log.Printf("cannot answer: %v", err)
	}
}

func (g *gate) serve(answer http.ResponseWriter, request *http.Request) string {
	answer.Header().Set("Docker-Distribution-Api-Version", "registry/2.0")
	user := g.known(request)
	if user == nil {
		answer.Header().Set("WWW-Authenticate", `Basic realm="platform registry"`)
		refuse(answer, http.StatusUnauthorized, "UNAUTHORIZED", "authentication required")
		return ""
	}
	reads := request.Method == http.MethodGet || request.Method == http.MethodHead
	if !reads && !user.Push {
		refuse(answer, http.StatusForbidden, "DENIED", "account "+user.Name+" can only pull")
		return user.Name
	}
	g.next.ServeHTTP(answer, request)
	return user.Name
}

func (g *gate) ServeHTTP(answer http.ResponseWriter, request *http.Request) {
	started := time.Now()
	body := &countedBody{ReadCloser: request.Body}
	request.Body = body
	counted := &countedAnswer{ResponseWriter: answer, status: http.StatusOK}
	// A copy of the path: distribution's router may change the request.
	line := access{Time: started.UTC(), Method: request.Method, Path: request.URL.Path,
		Query: request.URL.RawQuery, Agent: request.UserAgent()}
	defer func() {
		line.Status, line.Received, line.Sent = counted.status, body.bytes, counted.bytes
		line.Millis = time.Since(started).Milliseconds()
		g.lock.Lock()
		defer g.lock.Unlock()
		if err := g.log.Encode(line); err != nil {
			log.Printf("cannot write the access log: %v", err)
		}
	}()
	line.Account = g.serve(counted, request)
}

func carry(f forward) error {
	listener, err := net.Listen("tcp", f.Listen)
	if err != nil {
		return err
	}
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				log.Fatalf("cannot accept on %s: %v", f.Listen, err)
			}
			go join(client, f.To)
		}
	}()
	return nil
}

func join(client net.Conn, to string) {
	defer client.Close()
	server, err := net.DialTimeout("tcp", to, 5*time.Second)
	if err != nil {
		log.Printf("cannot reach %s: %v", to, err)
		return
	}
	defer server.Close()
	done := make(chan struct{}, 2)
	half := func(into, from net.Conn) {
		_, _ = io.Copy(into, from) // The end of either direction ends both.
		done <- struct{}{}
	}
	go half(server, client)
	go half(client, server)
	<-done
}

func run(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var s settings
	if err := json.Unmarshal(text, &s); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	accessLog, err := os.OpenFile(s.AccessLog, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	config := &configuration.Configuration{}
	config.Log.Level = "warn"
	config.Log.AccessLog.Disabled = true
	config.Storage = configuration.Storage{
		"filesystem": configuration.Parameters{"rootdirectory": s.Storage},
		"delete":     configuration.Parameters{"enabled": true},
		"tag":        configuration.Parameters{"concurrencylimit": 8},
	}
	config.HTTP.Secret = "sandbox"
	config.Catalog.MaxEntries = 1000
	for _, f := range s.Forwards {
		if err := carry(f); err != nil {
			return err
		}
	}
	app := handlers.NewApp(context.Background(), config)
	server := &http.Server{
		Addr:              s.Listen,
		Handler:           &gate{next: app, accounts: s.Accounts, log: json.NewEncoder(accessLog)},
		ReadHeaderTimeout: 10 * time.Second,
	}
	return server.ListenAndServeTLS(s.Certificate, s.Key)
}

func main() {
	path := flag.String("config", "", "the settings file")
	flag.Parse()
	log.Fatal(run(*path))
}
