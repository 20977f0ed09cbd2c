/** English: the catalogue that the others are typed by. Sentences end with a full stop, labels do not. */

import { entry } from "./en/entry";
import { people } from "./en/people";
import { settings } from "./en/settings";
import { talk } from "./en/talk";

export const en = { ...entry, ...talk, ...people, ...settings };
