package store

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
)

// bbolt has no checksum on what it keeps. Each value ends in one: CRC-32C, big-endian, of its bucket, its
// key and itself, so that a flipped bit is a damaged store and not another owner.
const sealSize = 4

var errSeal = errors.New("its checksum is wrong")

func seal(bucket, key string, value []byte) []byte {
	sealed := make([]byte, 0, len(value)+sealSize)
	sealed = append(sealed, value...)
	return binary.BigEndian.AppendUint32(sealed, checksum(bucket, key, value))
}

func unseal(bucket, key string, sealed []byte) ([]byte, error) {
	cut := len(sealed) - sealSize
	if cut < 0 || binary.BigEndian.Uint32(sealed[cut:]) != checksum(bucket, key, sealed[:cut]) {
		return nil, errSeal
	}
	return sealed[:cut:cut], nil
}

func checksum(bucket, key string, value []byte) uint32 {
	table := crc32.MakeTable(crc32.Castagnoli) // made once by the package, with the CPU's own instruction
	sum := crc32.Update(0, table, []byte(bucket))
	sum = crc32.Update(sum, table, []byte{0})
	sum = crc32.Update(sum, table, []byte(key))
	sum = crc32.Update(sum, table, []byte{0})
	return crc32.Update(sum, table, value)
}
