/** 한국어. */

import type { Shape } from "../catalog";
import type { entry as english } from "../en/entry";
import { andList } from "../plural";

export const entry: Shape<typeof english> = {
  app: {
    name: "Letterlock",
    slogan: "나와 상대방만 읽을 수 있는 메시지.",
    loading: "Letterlock을 여는 중…",
    skip: "대화로 건너뛰기",
    unreadTitle: (count, title) => `(${count}) ${title}`,
  },

  common: {
    back: "뒤로",
    cancel: "취소",
    close: "닫기",
    done: "완료",
    save: "저장",
    copy: "복사",
    copied: "복사했습니다.",
    later: "나중에",
    more: "더 보기",
    remove: "삭제",
    you: "나",
    tryAgain: "다시 시도",
    working: "처리 중…",
    loading: "불러오는 중…",
    password: "비밀번호",
    showPassword: "비밀번호 표시",
    hidePassword: "비밀번호 숨기기",
    userName: "사용자 이름",
    and: (names) => andList("ko", names),
  },

  entry: {
    signIn: "로그인",
    signUp: "계정 만들기",
    toSignUp: "처음이신가요? 계정 만들기",
    toSignIn: "이미 계정이 있습니다: 로그인",
    deviceName: "이 기기의 이름",
    deviceNameHint: "나와 내 다른 기기에만 보입니다.",
    deviceDefault: (browser, system) => `${system}의 ${browser}`,
    browser: "브라우저",
    userNameHint: "다른 사람이 정확히 이 이름으로 나를 찾습니다. 나중에 바꿀 수 없습니다.",
    passwordHint: "내 키를 잠그는 비밀번호입니다. 서버는 이를 알 수 없고 재설정해 줄 수도 없습니다.",
    recoveryKey: "복구 키",
    recoveryKeyHint: "계정을 만들 때 보관한 글자 묶음입니다.",
    useRecoveryKey: "대신 복구 키 사용",
    usePassword: "대신 비밀번호 사용",
    signingUp: "키를 만드는 중입니다. 몇 초 걸립니다.",
    signingIn: "키를 여는 중입니다. 몇 초 걸립니다.",
    points: [
      "메시지는 기기를 떠나기 전에 암호화됩니다.",
      "내 모든 기기에서 지난 대화를 볼 수 있습니다.",
      "전화번호도 이메일 주소도 필요 없습니다.",
    ],
  },

  strength: {
    label: "비밀번호 강도",
    levels: ["매우 약함", "약함", "아직 약함", "좋음", "강함"],
    hint: "흔하지 않은 단어 몇 개를 이어 쓰면 외우기 쉽고 추측하기 어렵습니다.",
  },

  recovery: {
    title: "복구 키",
    why: "비밀번호를 잊거나 모든 기기를 잃어버리면, 이 키만이 메시지를 되찾을 수 있는 유일한 방법입니다. 다른 사람이 보지 않는 곳에 보관하세요.",
    groups: "묶음으로 나눈 복구 키",
    copy: "복사",
    download: "파일로 저장",
    fileName: "letterlock-recovery-key.txt",
    fileText: (username, key) =>
      `${username} 님의 Letterlock 복구 키\n\n${key}\n\n이 키를 가진 사람은 이 계정의 모든 메시지를 읽을 수 있습니다. 안전하게 보관하세요.\n`,
    next: "보관했습니다",
    confirmTitle: "보관한 키 확인",
    confirmHint: "제대로 보관했는지 확인하기 위해 두 묶음을 입력해 주세요.",
    group: (number) => `${number}번째 묶음`,
    wrong: "키와 일치하지 않습니다. 다시 확인해 주세요.",
    confirm: "확인",
    showAgain: "키 다시 보기",
    confirmed: "복구 키를 확인했습니다.",
    nothing: "복구 키가 확인되어 이 기기에는 더 이상 남아 있지 않습니다. 설정에서 새 키를 만들 수 있습니다.",
  },

  restoring: {
    title: "메시지를 가져오는 중",
    keys: "키를 여는 중",
    epochs: "대화의 키를 읽는 중",
    messages: "메시지를 읽는 중",
    count: (done, of) => `${of.toLocaleString("ko")}개 중 ${done.toLocaleString("ko")}개`,
    hint: "이 기기에서 복호화합니다. 그동안 둘러보셔도 됩니다.",
    goOn: "대화로 이동",
  },

  stopped: {
    signedOutTitle: "이 기기에서 로그아웃됨",
    signedOut: "내 다른 기기나 서버가 이 기기를 로그아웃했습니다. 이제 새 메시지가 여기로 오지 않습니다.",
    signInAgain: "다시 로그인",
    signInAgainHint:
      "확인한 사람은 확인된 상태로 남습니다. 쓰고 보내지 못한 것은 남습니다. 메시지는 서버에서 다시 받습니다.",
    signedOutForget: "이 브라우저에서 모두 삭제",
    suspendedTitle: "정지된 계정",
    suspended: "서버 운영자가 이 계정을 정지했습니다. 메시지를 보내거나 받을 수 없습니다.",
    faultTitle: "문제가 생겼습니다",
    fault: "프로그램 오류로 멈췄습니다. 페이지를 새로 고치세요. 보낸 메시지는 사라지지 않습니다.",
    reload: "새로 고침",
    unopenedTitle: "이 브라우저에 저장할 수 없습니다",
    unopened:
      "메시지와 키를 보관할 저장소를 열 수 없습니다. 시크릿 창이거나, 디스크가 가득 찼거나, 이전 버전의 탭이 열려 있을 수 있습니다. 다른 Letterlock 탭을 닫고 새로 고치세요.",
  },

  connection: {
    offline: "연결되지 않음",
    offlineRetry: (seconds) => `연결되지 않음. ${seconds}초 후 다시 시도`,
    full: "이 브라우저의 저장 공간이 부족해 새 메시지를 저장할 수 없습니다. 공간이 생기면 다시 받습니다.",
    tryNow: "지금 시도",
    connecting: "연결 중…",
    catchingUp: "새 메시지를 받는 중…",
    catchingUpCount: (done, of) => `새 메시지를 받는 중: ${of}개 중 ${done}개`,
    live: "연결됨",
  },

  time: {
    today: "오늘",
    yesterday: "어제",
    now: "방금",
  },
};
