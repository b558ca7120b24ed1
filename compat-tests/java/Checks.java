import java.nio.charset.StandardCharsets;
import java.security.SecureRandom;
import java.util.Base64;
import java.util.HexFormat;
import java.util.Objects;
import java.util.concurrent.Callable;
import java.util.function.Predicate;

/** Says of each thing that a client did how it came out. Knows no client. */
final class Checks {
    interface Body {
        void run() throws Exception;
    }

    private static boolean failed;

    static void check(String area, String what, Body body) {
        try {
            body.run();
            System.out.println("ok " + area + ": " + what);
        } catch (Throwable wrong) {
            failed = true;
            System.out.println("FAIL " + area + ": " + what);
            wrong.printStackTrace(System.out);
        }
    }

    static void equal(Object got, Object wanted) {
        if (!Objects.equals(got, wanted)) {
            throw new AssertionError("got " + got + ", want " + wanted);
        }
    }

    /** What the client must raise. */
    static void raises(Predicate<Exception> wanted, Callable<?> call) {
        Object got;
        try {
            got = call.call();
        } catch (Exception error) {
            if (!wanted.test(error)) {
                throw new AssertionError("another error was wanted", error);
            }
            return;
        }
        throw new AssertionError("it was not refused: " + got);
    }

    static String unique(String prefix) {
        byte[] bytes = new byte[4];
        new SecureRandom().nextBytes(bytes);
        return prefix + "-" + HexFormat.of().formatHex(bytes);
    }

    static String b64(String text) {
        return Base64.getEncoder().encodeToString(text.getBytes(StandardCharsets.UTF_8));
    }

    static void end() {
        System.exit(failed ? 1 : 0);
    }

    private Checks() {}
}
