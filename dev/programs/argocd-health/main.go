// Runs a health check of Argo CD as Argo CD does, for tests: the same Lua engine and JSON encoder, the libraries
// that it opens for checks in argocd-cm, one second of time, and its rules for what comes back (util/lua/lua.go of
// Argo CD 3.6). Argo CD's own package is not used, for it brings half of Argo CD with it.
//
// argocd-health SCRIPT <objects.json: reads a JSON list of objects, writes a JSON list of {status, message}.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"

	lua "github.com/yuin/gopher-lua"
	luajson "layeh.com/gopher-json"
)

type health struct {
	Status  string `json:"status,omitempty"`
	Message string `json:"message,omitempty"`
}

var valid = map[string]bool{
	"Unknown": true, "Progressing": true, "Suspended": true, "Healthy": true, "Degraded": true, "Missing": true,
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "argocd-health:", err)
		os.Exit(1)
	}
}

func run() error {
	script, err := os.ReadFile(os.Args[1])
	if err != nil {
		return err
	}
	input, err := io.ReadAll(os.Stdin)
	if err != nil {
		return err
	}
	decoder := json.NewDecoder(bytes.NewReader(input))
	decoder.UseNumber()
	var objects []map[string]any
	if err := decoder.Decode(&objects); err != nil {
		return err
	}
	results := make([]health, 0, len(objects))
	for _, object := range objects {
		result, err := judge(string(script), object)
		if err != nil {
			return err
		}
		results = append(results, result)
	}
	return json.NewEncoder(os.Stdout).Encode(results)
}

func judge(script string, object map[string]any) (health, error) {
	state := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer state.Close()
	for _, library := range []struct {
		name string
		open lua.LGFunction
	}{
		{lua.LoadLibName, lua.OpenPackage}, {lua.BaseLibName, lua.OpenBase}, {lua.TabLibName, lua.OpenTable},
	} {
		call := lua.P{Fn: state.NewFunction(library.open), NRet: 0, Protect: true}
		if err := state.CallByParam(call, lua.LString(library.name)); err != nil {
			return health{}, err
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	state.SetContext(ctx)
	state.SetGlobal("obj", value(state, object))
	if err := state.DoString(script); err != nil {
		return health{}, err
	}
	returned := state.Get(-1)
	if returned.Type() != lua.LTTable {
		return health{}, fmt.Errorf("expect table output from Lua script, not %s", returned.Type())
	}
	text, err := luajson.Encode(returned)
	if err != nil {
		return health{}, err
	}
	var result health
	if err := json.Unmarshal(text, &result); err != nil {
		return health{}, err
	}
	if !valid[result.Status] {
		return health{"Unknown", "Lua returned an invalid health status"}, nil
	}
	return result, nil
}

// Numbers of the API server come as int64 or float64; in Lua they are all the same.
func value(state *lua.LState, any_ any) lua.LValue {
	switch given := any_.(type) {
	case bool:
		return lua.LBool(given)
	case string:
		return lua.LString(given)
	case json.Number:
		number, _ := given.Float64()
		return lua.LNumber(number)
	case []any:
		list := state.CreateTable(len(given), 0)
		for _, item := range given {
			list.Append(value(state, item))
		}
		return list
	case map[string]any:
		table := state.CreateTable(0, len(given))
		for key, item := range given {
			table.RawSetH(lua.LString(key), value(state, item))
		}
		return table
	}
	return lua.LNil
}
