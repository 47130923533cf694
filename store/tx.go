package store

import (
	"encoding/json"
	"slices"

	"plil.net/nuage/cloud"
)

// tx is what cloud sees of a transaction. Records are JSON, each made anew or copied when it is read: nobody shares
// memory with the store.
type tx struct {
	rows
	known    *known
	writable bool
}

var _ cloud.Tx = tx{}

func (t tx) Account(name string) (cloud.Account, error) {
	sealed, err := t.sealed(accounts, name, "account")
	if err != nil {
		return cloud.Account{}, err
	}
	return t.known.account(name, sealed)
}

func (t tx) Accounts() ([]cloud.Account, error) { return list[cloud.Account](t, accounts) }

func (t tx) PutAccount(a cloud.Account) error { return t.save(accounts, a.Name, a) }

func (t tx) DeleteAccount(name string) error {
	t.known.accounts.forget(name)
	return t.drop(accounts, name)
}

func (t tx) Key(fingerprint string) (k cloud.Key, err error) {
	return k, t.load(keys, fingerprint, &k, "key")
}

func (t tx) Keys(account string) ([]cloud.Key, error) {
	all, err := list[cloud.Key](t, keys)
	if account != "" {
		all = slices.DeleteFunc(all, func(k cloud.Key) bool { return k.Account != account })
	}
	slices.SortStableFunc(all, func(a, b cloud.Key) int { return a.Created.Compare(b.Created) })
	return all, err
}

func (t tx) PutKey(k cloud.Key) error { return t.save(keys, k.Fingerprint, k) }

func (t tx) DeleteKey(fingerprint string) error { return t.drop(keys, fingerprint) }

func (t tx) Next(counter string) (uint64, error) { return t.count(counters, counter) }

func (t tx) count(bucket, name string) (uint64, error) {
	var n uint64
	if err := t.load(bucket, name, &n, "counter"); err != nil && cloud.KindOf(err) != cloud.NotFound {
		return 0, err
	}
	n++
	return n, t.save(bucket, name, n)
}

// load reads a record; what names its kind to people.
func (t tx) load(bucket, key string, record any, what string) error {
	sealed, err := t.sealed(bucket, key, what)
	if err != nil {
		return err
	}
	return decode(bucket, key, sealed, record)
}

func (t tx) sealed(bucket, key, what string) ([]byte, error) {
	if sealed := t.get(bucket, key); sealed != nil {
		return sealed, nil
	}
	return nil, cloud.Errorf(cloud.NotFound, "there is no %s %q", what, key)
}

func (t tx) save(bucket, key string, record any) error {
	value, err := json.Marshal(record)
	if err != nil {
		return cloud.Errorf(cloud.Internal, "%q cannot be kept in %s", key, bucket).Because(err)
	}
	return t.write(bucket, key, value)
}

func (t tx) write(bucket, key string, value []byte) error {
	switch {
	case !t.writable:
		return frozen(bucket, key)
	case key == "":
		return cloud.Errorf(cloud.Internal, "a record without a name was put in %s", bucket)
	}
	if err := t.put(bucket, key, seal(bucket, key, value)); err != nil {
		return cloud.Errorf(cloud.Internal, "%q cannot be kept in %s", key, bucket).Because(err)
	}
	return nil
}

// drop deletes a record. One that is not there is deleted already.
func (t tx) drop(bucket, key string) error {
	if !t.writable {
		return frozen(bucket, key)
	}
	return t.remove(bucket, key)
}

func list[T any](t tx, bucket string) (all []T, err error) {
	t.each(bucket, "", func(key string, sealed []byte) bool {
		var record T
		err = decode(bucket, key, sealed, &record)
		all = append(all, record)
		return err == nil
	})
	return all, err
}

func decode(bucket, key string, sealed []byte, record any) error {
	value, err := unseal(bucket, key, sealed)
	if err == nil {
		err = json.Unmarshal(value, record)
	}
	if err != nil {
		return cloud.Errorf(cloud.Internal, "%q in %s is damaged", key, bucket).Because(err)
	}
	return nil
}
