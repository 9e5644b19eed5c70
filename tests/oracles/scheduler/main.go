// Command scheduler answers, for clusters given as JSON lines, which nodes the real kube-scheduler finds for each
// pod and what the others say: its default profile's PreFilter and Filter plugins, run by its own framework on a
// snapshot. There is no API server; pods and nodes are defaulted, prepared and validated by the API server's code.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"

	v1 "k8s.io/api/core/v1"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/pkg/scheduler/metrics"
)

// Request is one line of the input.
type Request struct {
	// Objects of a cluster, as the API server writes them, each with its kind.
	Items []json.RawMessage `json:"items"`
	// Ask also where bound pods may stand, each with the others where they are.
	Standing bool `json:"standing"`
	// Give the pods back as the API server would store them.
	Stored bool `json:"stored"`
}

// Answer is one line of the output.
type Answer struct {
	// Why the request could not be answered.
	Error string `json:"error,omitempty"`
	// Pods asked about, in the order of the request.
	Pods []PodAnswer `json:"pods,omitempty"`
	// The pods of the request as the API server would store them, if asked for.
	Stored []*v1.Pod `json:"stored,omitempty"`
}

// PodAnswer is what the scheduler says about one pod.
type PodAnswer struct {
	Name string `json:"name"`
	// What the scheduler reserves: cpu in millicores, everything else in units.
	Requests map[string]int64 `json:"requests"`
	// Its status reserves something else than its spec, so that a new pod like it would ask for something else.
	Resizes bool `json:"resizes"`
	// Nodes that do not take the pod.
	Rejected map[string]Rejection `json:"rejected"`
	// The scheduler's sentence where no node takes it.
	Message string `json:"message,omitempty"`
	// What the API server's quota admission says if the pod were made beside the others; empty if it lets it.
	Refused string `json:"refused,omitempty"`
}

// Rejection names the first plugin that rejects a node, and its reasons.
type Rejection struct {
	Plugin  string   `json:"plugin"`
	Reasons []string `json:"reasons"`
}

func main() {
	klog.LogToStderr(false)
	klog.SetOutput(io.Discard)
	metrics.Register()
	if err := serve(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "scheduler oracle:", err)
		os.Exit(1)
	}
}

// serve answers each line of the input until it ends.
func serve(input io.Reader, output io.Writer) error {
	lines := bufio.NewReaderSize(input, 1<<20)
	writer := bufio.NewWriter(output)
	encoder := json.NewEncoder(writer)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 1 {
			if err := encoder.Encode(answer(line)); err != nil {
				return err
			}
			if err := writer.Flush(); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func answer(line []byte) Answer {
	var request Request
	if err := json.Unmarshal(line, &request); err != nil {
		return Answer{Error: err.Error()}
	}
	objects, err := read(request.Items)
	if err != nil {
		return Answer{Error: err.Error()}
	}
	pods, err := verdicts(objects, request.Standing)
	if err != nil {
		return Answer{Error: err.Error()}
	}
	answer := Answer{Pods: pods}
	if request.Stored {
		answer.Stored = objects.pods
	}
	return answer
}
