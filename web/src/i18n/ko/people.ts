/** 한국어. */

import type { Shape } from "../catalog";
import type { people as english } from "../en/people";
import { and, object } from "./grammar";

export const people: Shape<typeof english> = {
  people: {
    newTitle: "새 대화",
    newHint: "사용자 이름을 정확히 입력하세요.",
    find: "찾기",
    found: "추가",
    notFound: (name) => `‘${name}’ 사용자가 없습니다.`,
    itsYou: "내 이름입니다.",
    chosen: "선택한 사람",
    removeChosen: (name) => `${name} 빼기`,
    yourContacts: "내 연락처",
    begin: "대화 시작",
    beginGroup: (count) => `${count + 1}명 그룹 시작`,
    groupHistory: "나중에 들어온 사람도 이전 대화를 읽을 수 있음",
    contactsTitle: "연락처",
    requestsTitle: "요청",
    requestsHint: "연락처가 되고 싶어 하거나 메시지를 보낸 사람입니다. 거절해도 상대방은 알 수 없습니다.",
    requestedTitle: "내가 보낸 요청",
    blockedTitle: "차단함",
    noContacts: "아직 연락처가 없습니다",
    noContactsHint: "정확한 사용자 이름으로 요청해 보세요.",
    addContact: "연락처 요청",
    addContactLabel: "새 연락처의 사용자 이름",
    accept: "수락",
    decline: "거절",
    block: "차단",
    unblock: "차단 해제",
    removeContact: "연락처에서 삭제",
    withdraw: "요청 취소",
    writeTo: (name) => `${name} 님에게 메시지 쓰기`,
    waiting: "서버를 기다리는 중",
    blocksYou: "나를 차단함",
    blockAsk: (name) => `${object(name)} 차단할까요?`,
    blockHint: (name) =>
      `모든 기기에서 ${name} 님의 메시지를 받지 않고, ${name} 님에게 쓸 수도 없습니다. 지금까지의 내용은 남습니다.`,
    unblockAsk: (name) => `${name} 님의 차단을 해제할까요?`,
    unblockHint: (name) => `${name} 님이 다시 메시지를 보낼 수 있습니다. 그동안 보낸 메시지는 오지 않습니다.`,
    unblockOffline: "이 서버에서는 연결되어 있을 때만 차단을 해제할 수 있습니다.",
    asked: (name) => `${name} 님에게 요청했습니다.`,
  },

  questions: {
    conflictTitle: "다른 기기에서 변경됨",
    conflict: (name, device) =>
      device === null
        ? `버튼을 누른 사이에 ${name} 님과의 관계가 바뀌었습니다.`
        : `버튼을 누른 사이에 ‘${device}’에서 ${name} 님과의 관계를 바꾸었습니다.`,
    yours: "하려는 작업",
    now: "현재 상태",
    changedAt: (at) => `${at} 변경됨`,
    confirm: "그래도 진행",
    drop: "그대로 두기",
    lagTitle: "다른 기기가 먼저 동기화되어야 합니다",
    lag: (name) => `내 모든 기기가 차단을 알 때까지 ${name} 님은 차단된 상태로 남습니다. 아직 모르는 기기:`,
    wait: "기다리기",
    dropUnblock: "차단 유지",
    waiting: (count) => `답을 기다리는 질문 ${count}개`,
    look: "보기",
    actions: {
      add: (name) => `${name} 님에게 연락처 요청`,
      accept: (name) => `${name} 님 수락`,
      decline: (name) => `${name} 님 거절`,
      remove: (name) => `${name} 님을 연락처에서 삭제`,
      block: (name) => `${name} 님 차단`,
      unblock: (name) => `${name} 님 차단 해제`,
    },
    states: {
      none: "연락처 아님",
      requested: "내가 요청함",
      incoming: "나에게 요청함",
      contact: "연락처",
    },
    blocked: "내가 차단함",
    blockedBy: "나를 차단함",
  },

  safety: {
    title: (name) => `${and(name)}의 안전 번호`,
    hint: (name) => `${name} 님과 직접 만나거나 통화하면서 번호를 비교하세요. 같으면 중간에 엿보는 사람이 없습니다.`,
    number: "안전 번호",
    verified: "확인됨",
    notVerified: "확인되지 않음",
    markVerified: "같습니다: 확인됨으로 표시",
    unmark: "확인 표시 취소",
    qr: "상대방 기기로 스캔할 코드",
    paste: "상대방 코드의 텍스트",
    check: "확인",
    matched: (name) => `${name} 님을 확인했습니다.`,
    scan: "상대방 코드 스캔",
    stopScanning: "카메라 끄기",
    picture: "카메라 화면",
    cameraStarts: "카메라를 켜는 중…",
    holdCode: "상대방 기기의 코드를 카메라에 비추세요.",
    noPicture: {
      denied: "브라우저가 카메라 사용을 허용하지 않습니다. 브라우저 설정에서 허용하거나 코드의 텍스트를 붙여 넣으세요.",
      missing: "카메라가 없습니다. 대신 코드의 텍스트를 붙여 넣으세요.",
      busy: "카메라 화면을 가져올 수 없습니다. 다른 프로그램이 사용 중일 수 있습니다. 코드의 텍스트를 붙여 넣을 수도 있습니다.",
    },
    unavailable: "지금은 키를 가져올 수 없습니다.",
  },

  notices: {
    identity: (name) => `${name} 님의 신원이 바뀌었습니다. 안전 번호를 비교하고 이유를 물어보세요.`,
    identityVerified: (name) =>
      `확인했던 ${name} 님의 신원이 바뀌었습니다. 안전 번호를 비교할 때까지 아무것도 보내지 않습니다.`,
    otherName: (name) =>
      `서버가 ${name} 님을 다른 이름으로 알려 왔습니다. 이름은 바뀌지 않습니다. 쓰기 전에 안전 번호를 비교하세요.`,
    compare: "비교",
    vaultOpened: (device) =>
      device === null
        ? "다른 기기에서 내 키를 열었습니다. 내가 한 일이 아니라면 비밀번호를 바꾸세요."
        : `‘${device}’에서 내 키를 열었습니다. 내가 한 일이 아니라면 그 기기를 로그아웃하고 비밀번호를 바꾸세요.`,
    devices: "기기",
    locked: "이 기기에 내 키가 하나 없습니다. 잠금을 풀 때까지 일부 메시지를 읽을 수 없습니다.",
    unlock: "잠금 해제",
    unlockTitle: "키 잠금 해제",
    unlockHint: "비밀번호로 이 기기에 없는 키를 가져옵니다.",
    unconfirmed: "아직 복구 키를 확인하지 않았습니다.",
    show: "키 보기",
    changeFailed: (what, why) => `처리하지 못함: ${what}. ${why}`,
    newBuild: "새 버전이 준비되었습니다.",
    reload: "다시 불러오기",
    putAway: "닫기",
    more: (count) => `${count}개 더`,
    fewer: "접기",
  },
};
