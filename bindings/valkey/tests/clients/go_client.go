// go-redis and its calls of vector sets: go_client PORT PROTOCOL
package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"reflect"
	"strings"

	"github.com/redis/go-redis/v9"
)

func check(what string, found, expected any) {
	if !reflect.DeepEqual(found, expected) {
		fmt.Printf("%s: %#v expected, found %#v\n", what, expected, found)
		os.Exit(1)
	}
}

func must[T any](value T, err error) T {
	if err != nil {
		fmt.Println(err)
		panic(err)
	}
	return value
}

func blob(values ...float32) redis.Vector {
	bytes := []byte{}
	for _, value := range values {
		bytes = binary.LittleEndian.AppendUint32(bytes, math.Float32bits(value))
	}
	return &redis.VectorFP32{Val: bytes}
}

func main() {
	protocol := int(os.Args[2][0] - '0')
	client := redis.NewClient(&redis.Options{Addr: "127.0.0.1:" + os.Args[1], Protocol: protocol})
	ctx := context.Background()
	options := &redis.VAddArgs{NoQuant: true, M: 8, EF: 100, Cas: true, SetAttr: `{"year": 1990}`}
	check("VADD", must(client.VAddWithArgs(ctx, "colors", "red", blob(255, 0, 0), options).Result()), true)
	options.SetAttr = `{"year": 1991}`
	orange := &redis.VectorValues{Val: []float64{255, 165, 0}}
	check("VADD", must(client.VAddWithArgs(ctx, "colors", "orange", orange, options).Result()), true)
	options.SetAttr = ""
	check("VADD", must(client.VAddWithArgs(ctx, "colors", "blue", blob(0, 0, 255), options).Result()), true)
	check("VADD", must(client.VAddWithArgs(ctx, "colors", "blue", blob(0, 0, 255), options).Result()), false)
	check("VCARD", must(client.VCard(ctx, "colors").Result()), int64(3))
	check("VDIM", must(client.VDim(ctx, "colors").Result()), int64(3))
	check("VSIM", must(client.VSim(ctx, "colors", blob(255, 20, 0)).Result()), []string{"red", "orange", "blue"})
	filtered := &redis.VSimArgs{Count: 2, EF: 50, Filter: ".year >= 1991", FilterEF: 10, Truth: true}
	check("FILTER", must(client.VSimWithArgs(ctx, "colors", &redis.VectorRef{Name: "red"}, filtered).Result()), []string{"orange"})
	scores := must(client.VSimWithScores(ctx, "colors", &redis.VectorRef{Name: "red"}).Result())
	for _, one := range scores {
		expected := map[string]float64{"red": 1, "orange": (1 + 255/math.Hypot(255, 165)) / 2, "blue": 0.5}[one.Name]
		if math.Abs(one.Score-expected) > 1e-5 {
			check(one.Name, one.Score, expected)
		}
	}
	check("scores", len(scores), 3)
	check("VEMB", len(must(client.VEmb(ctx, "colors", "orange", false).Result())), 3)
	check("VEMB RAW", must(client.VEmb(ctx, "colors", "orange", true).Result())[0], any("f32"))
	check("VGETATTR", must(client.VGetAttr(ctx, "colors", "orange").Result()), `{"year": 1991}`)
	check("VSETATTR", must(client.VSetAttr(ctx, "colors", "blue", map[string]int{"year": 1}).Result()), true)
	check("VGETATTR", must(client.VGetAttr(ctx, "colors", "blue").Result()), `{"year":1}`)
	check("VSETATTR", must(client.VClearAttributes(ctx, "colors", "blue").Result()), true)
	_, err := client.VGetAttr(ctx, "colors", "blue").Result()
	check("VGETATTR", err, error(redis.Nil))
	info := must(client.VInfo(ctx, "colors").Result())
	check("VINFO", []any{info["quant-type"], info["vector-dim"], info["size"]}, []any{"f32", int64(3), int64(3)})
	check("VRANDMEMBER", len(must(client.VRandMemberCount(ctx, "colors", -5).Result())), 5)
	check("VREM", must(client.VRem(ctx, "colors", "red").Result()), true)
	check("VREM", must(client.VRem(ctx, "colors", "red").Result()), false)
	_, err = client.VAddWithArgs(ctx, "colors", "x", blob(1, 2), options).Result()
	if err == nil || !strings.Contains(err.Error(), "Vector dimension mismatch - got 2 but set has 3") {
		check("an error", err, "Vector dimension mismatch")
	}
	fmt.Println("ok")
}
