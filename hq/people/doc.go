// Package people is headquarters' vault of people: who is enrolled, by whom, on what basis and until when, their references, and the signed orders that
// make kiosks know them.
//
//	master key (a file of mode 0600, or under a passphrase)
//	  ├─HKDF─ wrap ─► people.keys: a content key, random, one a person ─► that person's records, references and signed orders in people.db
//	  ├─HKDF─ value ─► people.db: what is not one person's: the queue, the journal of bulk enrolments, settings
//	  └─HKDF─ index ─► names of records and rows
//
// Deleting a person overwrites the content key in people.keys, in its place. What is left of the person in people.db, its free pages, backups of it and
// copies of it is then ciphertext without a key. So people.keys belongs in no backup. Whoever loses that file, or the master key, has lost every person
// and must enrol them again; a copy of it that is kept undoes the deletions made since.
//
// Photographs are never kept: extract makes references of them, and they are forgotten.
//
// The vault is opened for each step and closed again, so that hq serve, which hands orders on, and an enroller's command work side by side.
package people
