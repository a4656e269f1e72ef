package main

import "strings"

type record struct {
	ID   int
	Name string
	Tags []int
}

func (r record) clone() record {
	r.Name = strings.Clone(r.Name)
	r.Tags = append([]int(nil), r.Tags...)
	return r
}

var received record // what is received is used, for the compiler

func transfer() {
	const messages = 1000
	channel := make(chan record, 1)
	value := record{1, "abc", []int{1, 2, 3}}
	reportNs("transfer_struct", average(func() {
		for i := 0; i < messages; i++ {
			channel <- value.clone()
			received = <-channel
		}
	}), messages)
}
