// Judges objects by healthCheckExprs of a Flux Kustomization as Flux does, for tests: the same CEL engine with the same
// options, the same look at status.observedGeneration, the same order (runtime/cel of fluxcd/pkg). Flux's own package is
// not used, for it brings kustomize with it.
//
// flux-health <input.json: reads {"expressions": {"inProgress", "failed", "current"}, "objects": [...]}, writes a JSON
// list of InProgress, Failed, Current, or "error: ...", at which Flux waits.
package main

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/ext"
)

type input struct {
	Expressions map[string]string `json:"expressions"`
	Objects     []map[string]any  `json:"objects"`
}

var order = []struct{ key, status string }{
	{"inProgress", "InProgress"}, {"failed", "Failed"}, {"current", "Current"},
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "flux-health:", err)
		os.Exit(1)
	}
}

func run() error {
	var given input
	if err := json.NewDecoder(os.Stdin).Decode(&given); err != nil {
		return err
	}
	environment, err := cel.NewEnv(
		cel.HomogeneousAggregateLiterals(), cel.EagerlyValidateDeclarations(true), cel.DefaultUTCTimeZone(true),
		cel.CrossTypeNumericComparisons(true), cel.OptionalTypes(), ext.Strings(), ext.Sets(), ext.Encoders(),
	)
	if err != nil {
		return err
	}
	programs := map[string]cel.Program{}
	for key, expression := range given.Expressions {
		parsed, issues := environment.Parse(expression)
		if issues != nil && issues.Err() != nil {
			return fmt.Errorf("%s: %w", key, issues.Err())
		}
		if programs[key], err = environment.Program(parsed, cel.EvalOptions(cel.OptOptimize)); err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
	}
	results := make([]string, 0, len(given.Objects))
	for _, object := range given.Objects {
		results = append(results, judge(programs, object))
	}
	return json.NewEncoder(os.Stdout).Encode(results)
}

func judge(programs map[string]cel.Program, object map[string]any) string {
	metadata, _ := object["metadata"].(map[string]any)
	status, _ := object["status"].(map[string]any)
	if observed, seen := status["observedGeneration"]; seen && observed != metadata["generation"] {
		return "InProgress"
	}
	for _, one := range order {
		program, given := programs[one.key]
		if !given {
			continue
		}
		value, _, err := program.Eval(object)
		if err != nil {
			return "error: " + err.Error()
		}
		if value == types.True {
			return one.status
		}
	}
	return "InProgress"
}
