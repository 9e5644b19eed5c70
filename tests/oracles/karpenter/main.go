// Command karpenter runs Karpenter's own scheduler on Plimsoll's inputs, so that both can be compared on one instance.
//
//	karpenter generate -pods 1000 -types 400 -seed 42 -out DIR   writes pods.json and catalog.yaml
//	karpenter solve -cluster pods.json -catalog catalog.yaml      prints what Karpenter opens, as JSON
package main

import (
	"fmt"
	"os"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "karpenter oracle:", err)
		os.Exit(1)
	}
}

func run(arguments []string) error {
	if len(arguments) > 0 {
		switch arguments[0] {
		case "generate":
			return generate(arguments[1:])
		case "solve":
			return solve(arguments[1:])
		}
	}
	return fmt.Errorf("say generate or solve")
}
