package tpm

import (
	"encoding/binary"
	"errors"

	"github.com/google/go-tpm/tpm2"
)

// getTime runs TPM2_GetTime (part 3, 18.7) from go-tpm's parts: its own command (v0.9.8) has no room for the endorsement hierarchy's authorisation.
func (t *TPM) getTime(data tpm2.TPM2BData) (body tpm2.TPM2BAttest, signature tpm2.TPMTSignature, err error) {
	sessions := []tpm2.Session{t.session(t.options.Endorsement), t.session(t.auth("attestation"))}
	names := []tpm2.TPM2BName{tpm2.HandleName(tpm2.TPMRHEndorsement), t.attestation.Name}
	parameters := append(tpm2.Marshal(data), tpm2.Marshal(nullScheme())...)
	for _, s := range sessions {
		if err := errors.Join(s.Init(t.wire), s.NewNonceCaller()); err != nil {
			return body, signature, judge(err)
		}
	}
	var auths []byte
	for i, s := range sessions {
		a, err := s.Authorize(tpm2.TPMCCGetTime, parameters, nil, names, i)
		if err != nil {
			return body, signature, err
		}
		auths = append(auths, tpm2.Marshal(*a)...)
	}
	command := binary.BigEndian.AppendUint16(nil, uint16(tpm2.TPMSTSessions))
	command = binary.BigEndian.AppendUint32(command, uint32(headerSize+2*4+4+len(auths)+len(parameters)))
	command = binary.BigEndian.AppendUint32(command, uint32(tpm2.TPMCCGetTime))
	command = binary.BigEndian.AppendUint32(command, uint32(tpm2.TPMRHEndorsement))
	command = binary.BigEndian.AppendUint32(command, uint32(t.attestation.Handle))
	command = binary.BigEndian.AppendUint32(command, uint32(len(auths)))
	answer, err := t.wire.Send(append(append(command, auths...), parameters...))
	if err != nil {
		return body, signature, err
	}
	if code := tpm2.TPMRC(binary.BigEndian.Uint32(answer[6:])); code != tpm2.TPMRCSuccess {
		return body, signature, errors.Join(code, sessions[0].CleanupFailure(t.wire), sessions[1].CleanupFailure(t.wire))
	}
	b, s, err := splitTime(answer[headerSize:], sessions, names)
	if err != nil {
		return body, signature, judge(err)
	}
	return *b, *s, nil
}

// splitTime checks the HMACs of an answer before it parses what they cover.
func splitTime(b []byte, sessions []tpm2.Session, names []tpm2.TPM2BName) (*tpm2.TPM2BAttest, *tpm2.TPMTSignature, error) {
	short := errors.New("answer is cut short")
	if len(b) < 4 || uint64(binary.BigEndian.Uint32(b)) > uint64(len(b)-4) {
		return nil, nil, short
	}
	n := 4 + int(binary.BigEndian.Uint32(b))
	parameters, rest := b[4:n], b[n:]
	for i, s := range sessions {
		nonce, after, ok := cut2B(rest)
		if !ok || len(after) < 1 {
			return nil, nil, short
		}
		hmac, end, ok := cut2B(after[1:])
		if !ok {
			return nil, nil, short
		}
		a, err := tpm2.Unmarshal[tpm2.TPMSAuthResponse](rest[:len(nonce)+1+len(hmac)])
		if err != nil {
			return nil, nil, err
		}
		if err := s.Validate(tpm2.TPMRCSuccess, tpm2.TPMCCGetTime, parameters, names, i, a); err != nil {
			return nil, nil, err
		}
		rest = end
	}
	field, tail, ok := cut2B(parameters)
	if !ok || len(rest) != 0 {
		return nil, nil, short
	}
	body, err := tpm2.Unmarshal[tpm2.TPM2BAttest](field)
	if err != nil {
		return nil, nil, err
	}
	signature, err := tpm2.Unmarshal[tpm2.TPMTSignature](tail)
	return body, signature, err
}
