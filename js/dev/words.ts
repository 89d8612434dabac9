/** Tokens of the made-up model: groups of words that belong together, with their spellings. */

const GROUPS: Record<string, string> = {
  animals:
    "cat dog horse cow sheep goat pig mouse rat lion tiger bear wolf fox deer rabbit hen duck goose eagle owl crow shark whale frog snake bee ant spider",
  numbers:
    "one two three four five six seven eight nine ten eleven twelve twenty thirty forty fifty hundred thousand million dozen half third quarter",
  months:
    "January February March April May June July August September October November December Monday Tuesday Wednesday Thursday Friday Saturday Sunday week month year",
  places:
    "Paris London Berlin Rome Madrid Vienna Oslo Dublin Prague Lisbon Athens Tokyo Delhi Cairo Lima Moscow Boston Chicago Toronto Sydney Germany France Spain Italy",
  colours:
    "red green blue yellow orange purple violet pink brown black white grey cyan magenta gold silver scarlet crimson amber teal",
  verbs:
    "run walk jump swim fly eat drink sleep write read speak think know see hear feel make take give find keep leave bring begin show",
  people:
    "man woman boy girl king queen father mother brother sister son daughter uncle aunt friend doctor teacher writer singer soldier",
  code: "def class return import lambda yield async await while break continue None True False self print range len dict list tuple",
  food: "bread butter cheese milk egg rice bean corn apple pear plum peach grape lemon onion garlic carrot potato soup stew",
  small:
    "the of and to in that is was for it with as his on be at by had not are but from or have an they which",
};
const PUNCTUATION = ". , ; : ! ? ( ) [ ] { } < > / + - * = % & # @ $ ' \" _ ~ ^ |".split(" ");

export const GROUP_NAMES = [...Object.keys(GROUPS), "digits", "punctuation"];

export interface Word {
  text: string;
  group: number;
  /** Index into "special", "digit", "punctuation", "word", "continuation", "other". */
  stratum: number;
}

/** All tokens, about a thousand. */
export function words(): Word[] {
  const out: Word[] = [{ text: "<|endoftext|>", group: GROUP_NAMES.length - 1, stratum: 0 }];
  for (const [group, list] of Object.values(GROUPS).entries()) {
    for (const word of list.split(" ")) {
      const capital = word[0]!.toUpperCase() + word.slice(1);
      const spellings = [` ${word}`, word, ` ${capital}`, `${word.slice(1)}`];
      for (const [i, text] of spellings.entries()) {
        if (out.some((w) => w.text === text)) continue;
        out.push({ text, group, stratum: i === 3 ? 4 : 3 });
      }
    }
  }
  for (let n = 0; n < 100; n++) {
    out.push({ text: String(n), group: GROUP_NAMES.indexOf("digits"), stratum: 1 });
  }
  for (const text of PUNCTUATION) {
    out.push({ text, group: GROUP_NAMES.indexOf("punctuation"), stratum: 2 });
  }
  return out;
}
